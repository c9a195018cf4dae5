//! Reads names that stand for something about a name: virtual tables, thunks, guards. Knows nothing of how they are shown.

use crate::text::demangle::itanium::node::{Id, Node};
use crate::text::demangle::itanium::parse::Parser;

impl<'s> Parser<'s> {
    /// Functions that construct or destroy what a file or object needs at start and exit.
    pub(super) fn global_function(&mut self, rest: &'s str) -> Option<Id> {
        let kind = rest.strip_prefix(['.', '_', '$'])?;
        let text = match kind.as_bytes().get(..2)? {
            b"I_" => "global constructors keyed to ",
            b"D_" => "global destructors keyed to ",
            _ => return None,
        };
        self.at = self.text.len() - kind.len() + 2;
        let keyed = if self.rest().starts_with("_Z") {
            self.expect("_Z")?;
            self.encoding()?
        } else {
            let name = self.rest();
            self.at = self.text.len();
            self.add(Node::Name(name))
        };
        (self.at == self.text.len()).then(|| self.add(Node::Special(text, keyed)))
    }

    pub(super) fn special(&mut self) -> Option<Id> {
        let code = self.rest().get(..2)?;
        self.at += 2;
        let of_type = match code {
            "TV" => "vtable for ",
            "TT" => "VTT for ",
            "TI" => "typeinfo for ",
            "TS" => "typeinfo name for ",
            "TF" => "typeinfo fn for ",
            "TJ" => "java Class for ",
            _ => "",
        };
        if !of_type.is_empty() {
            let of = self.typ()?;
            return Some(self.add(Node::Special(of_type, of)));
        }
        let (text, of) = match code {
            "Th" => {
                self.call_offset(b'h')?;
                ("non-virtual thunk to ", self.encoding()?)
            }
            "Tv" => {
                self.call_offset(b'v')?;
                ("virtual thunk to ", self.encoding()?)
            }
            "Tc" => {
                for _ in 0..2 {
                    let kind = self.peek()?;
                    self.at += 1;
                    self.call_offset(kind)?;
                }
                ("covariant return thunk to ", self.encoding()?)
            }
            "TC" => {
                let derived = self.typ()?;
                self.number()?;
                self.expect("_")?;
                let base = self.typ()?;
                return Some(self.add(Node::ConstructionTable(base, derived)));
            }
            "TA" => ("template parameter object for ", self.template_argument()?),
            "TH" => ("TLS init function for ", self.name()?.id),
            "TW" => ("TLS wrapper function for ", self.name()?.id),
            "GV" => ("guard variable for ", self.name()?.id),
            "GR" => {
                let of = self.name()?.id;
                let number = self.number().unwrap_or(0);
                return Some(self.add(Node::Temporary(of, number)));
            }
            "GA" => ("hidden alias for ", self.encoding()?),
            "GT" => {
                let safe = self.eat("t") || !self.eat("n");
                (if safe { "transaction clone for " } else { "non-transaction clone for " }, self.encoding()?)
            }
            _ => return None,
        };
        Some(self.add(Node::Special(text, of)))
    }

    fn call_offset(&mut self, kind: u8) -> Option<()> {
        let offsets = match kind {
            b'h' => 1,
            b'v' => 2,
            _ => return None,
        };
        for _ in 0..offsets {
            self.eat("n");
            self.number()?;
            self.expect("_")?;
        }
        Some(())
    }
}
