//! Reads types. Knows nothing of how they are shown.

use crate::text::demangle::itanium::node::{Function, Id, Node, Qualifiers, Style};
use crate::text::demangle::itanium::parse::Parser;

impl Parser<'_> {
    pub(super) fn qualifiers(&mut self) -> Qualifiers {
        Qualifiers {
            restrict: self.eat("r"),
            volatile: self.eat("V"),
            constant: self.eat("K"),
            ..Qualifiers::default()
        }
    }

    pub(super) fn typ(&mut self) -> Option<Id> {
        self.nested(|parser| {
            if let Some(builtin) = parser.builtin() {
                return Some(builtin);
            }
            if parser.peek() == Some(b'S') && parser.peek_next() != Some(b't') {
                let known = parser.substitution()?;
                if parser.peek() != Some(b'I') {
                    return Some(known);
                }
                let arguments = parser.template_arguments()?;
                let template = parser.add(Node::Template(known, arguments));
                return Some(parser.remember(template));
            }
            let id = parser.typ_unremembered()?;
            Some(parser.remember(id))
        })
    }

    /// A type that is not builtin.
    pub(super) fn typ_unremembered(&mut self) -> Option<Id> {
        let first = self.peek()?;
        match first {
            b'r' | b'V' | b'K' => {
                let qualifiers = self.qualifiers();
                if self.at_function() {
                    return self.function(qualifiers);
                }
                let of = self.typ()?;
                Some(self.add(Node::Qualified(of, qualifiers)))
            }
            b'P' | b'R' | b'O' | b'C' | b'G' => {
                self.at += 1;
                let of = self.typ()?;
                Some(self.add(match first {
                    b'P' => Node::Pointer(of),
                    b'R' => Node::Reference(of),
                    b'O' => Node::RightReference(of),
                    b'C' => Node::Suffixed(of, " _Complex"),
                    _ => Node::Suffixed(of, " _Imaginary"),
                }))
            }
            b'F' => self.function(Qualifiers::default()),
            b'A' => self.array(),
            b'M' => {
                self.at += 1;
                let class = self.typ()?;
                let member = self.typ()?;
                Some(self.add(Node::MemberPointer(class, member)))
            }
            b'T' => {
                let parameter = self.template_parameter()?;
                self.maybe_template(parameter)
            }
            b'D' => self.typ_with_d(),
            b'U' if !matches!(self.peek_next(), Some(b'l' | b't')) => {
                self.at += 1;
                let qualifier = self.source_name()?;
                let qualifier = if self.peek() == Some(b'I') {
                    let arguments = self.template_arguments()?;
                    self.add(Node::Template(qualifier, arguments))
                } else {
                    qualifier
                };
                let of = self.typ()?;
                Some(self.add(Node::VendorQualified(of, qualifier)))
            }
            b'u' => {
                self.at += 1;
                self.source_name()
            }
            _ => Some(self.name()?.id),
        }
    }

    fn maybe_template(&mut self, id: Id) -> Option<Id> {
        if self.peek() != Some(b'I') {
            return Some(id);
        }
        if !self.in_conversion {
            self.remember(id);
            let arguments = self.template_arguments()?;
            return Some(self.add(Node::Template(id, arguments)));
        }
        let before = (self.at, self.nodes.len(), self.substitutions.len());
        let arguments = self.template_arguments()?;
        if self.peek() == Some(b'I') {
            self.remember(id);
            return Some(self.add(Node::Template(id, arguments)));
        }
        self.at = before.0;
        self.nodes.truncate(before.1);
        self.substitutions.truncate(before.2);
        Some(id)
    }

    fn typ_with_d(&mut self) -> Option<Id> {
        match self.peek_next()? {
            b't' | b'T' => {
                self.at += 2;
                let expression = self.expression()?;
                self.expect("E")?;
                Some(self.add(Node::Decltype(expression)))
            }
            b'p' => {
                self.at += 2;
                let pattern = self.typ()?;
                Some(self.add(Node::Expansion(pattern)))
            }
            b'v' => {
                self.at += 2;
                let size = if self.eat("_") {
                    self.expression()?
                } else {
                    let start = self.at;
                    self.number()?;
                    let digits = &self.text[start..self.at];
                    self.add(Node::Name(digits))
                };
                self.expect("_")?;
                let of = self.typ()?;
                Some(self.add(Node::Vector(of, size)))
            }
            _ if self.at_function() => self.function(Qualifiers::default()),
            _ => None,
        }
    }

    /// Whether a function type starts here, behind what it promises about exceptions.
    fn at_function(&self) -> bool {
        ["F", "DoF", "DxF"].into_iter().any(|start| self.rest().starts_with(start))
    }

    fn function(&mut self, mut qualifiers: Qualifiers) -> Option<Id> {
        if self.eat("Do") {
            qualifiers.exception = " noexcept";
        } else if self.eat("Dx") {
            qualifiers.exception = " transaction_safe";
        }
        self.expect("F")?;
        self.eat("Y");
        let returns = self.typ()?;
        let parameters = self.parameters()?;
        if self.eat("R") {
            qualifiers.reference = " &";
        } else if self.eat("O") {
            qualifiers.reference = " &&";
        }
        self.expect("E")?;
        Some(self.add(Node::Function(Function { returns: Some(returns), parameters, qualifiers })))
    }

    fn array(&mut self) -> Option<Id> {
        self.expect("A")?;
        let start = self.at;
        let size = if self.peek() == Some(b'_') {
            None
        } else if self.peek()?.is_ascii_digit() {
            self.number()?;
            let digits = &self.text[start..self.at];
            Some(self.add(Node::Name(digits)))
        } else {
            Some(self.expression()?)
        };
        self.expect("_")?;
        let of = self.typ()?;
        Some(self.add(Node::Array(of, size)))
    }

    fn builtin(&mut self) -> Option<Id> {
        use Style::{Bool, Cast, Float, Suffix};
        let (name, style, length) = match self.peek()? {
            b'a' => ("signed char", Cast, 1),
            b'b' => ("bool", Bool, 1),
            b'c' => ("char", Cast, 1),
            b'd' => ("double", Float, 1),
            b'e' => ("long double", Float, 1),
            b'f' => ("float", Float, 1),
            b'g' => ("__float128", Float, 1),
            b'h' => ("unsigned char", Cast, 1),
            b'i' => ("int", Suffix(""), 1),
            b'j' => ("unsigned int", Suffix("u"), 1),
            b'l' => ("long", Suffix("l"), 1),
            b'm' => ("unsigned long", Suffix("ul"), 1),
            b'n' => ("__int128", Cast, 1),
            b'o' => ("unsigned __int128", Cast, 1),
            b's' => ("short", Cast, 1),
            b't' => ("unsigned short", Cast, 1),
            b'v' => ("void", Cast, 1),
            b'w' => ("wchar_t", Cast, 1),
            b'x' => ("long long", Suffix("ll"), 1),
            b'y' => ("unsigned long long", Suffix("ull"), 1),
            b'z' => ("...", Cast, 1),
            b'D' => match self.peek_next()? {
                b'a' => ("auto", Cast, 2),
                b'c' => ("decltype(auto)", Cast, 2),
                b'd' => ("decimal64", Cast, 2),
                b'e' => ("decimal128", Cast, 2),
                b'f' => ("decimal32", Cast, 2),
                b'h' => ("half", Float, 2),
                b'i' => ("char32_t", Cast, 2),
                b'n' => ("decltype(nullptr)", Cast, 2),
                b's' => ("char16_t", Cast, 2),
                b'u' => ("char8_t", Cast, 2),
                b'F' if self.rest().starts_with("DF16_") => ("_Float16", Float, 5),
                b'F' if self.rest().starts_with("DF32_") => ("_Float32", Float, 5),
                b'F' if self.rest().starts_with("DF64_") => ("_Float64", Float, 5),
                b'F' if self.rest().starts_with("DF128_") => ("_Float128", Float, 6),
                b'F' if self.rest().starts_with("DF16b") => ("std::bfloat16_t", Float, 5),
                _ => return None,
            },
            _ => return None,
        };
        self.at += length;
        Some(self.add(Node::Builtin(name, style)))
    }
}
