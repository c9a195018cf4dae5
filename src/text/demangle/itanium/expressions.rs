//! Reads expressions, which stand in template arguments and `decltype`. Knows nothing of how they are shown.

use crate::text::demangle::itanium::node::{Id, Node};
use crate::text::demangle::itanium::operators::{self, Use};
use crate::text::demangle::itanium::parse::Parser;

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Option<Id> {
        self.nested(Self::expression_inside)
    }

    fn expression_inside(&mut self) -> Option<Id> {
        match self.peek()? {
            b'L' => return self.literal(),
            b'T' => return self.template_parameter(),
            b'0'..=b'9' => return self.simple_name(),
            b's' if self.eat("sr") => return self.scoped_name(),
            b's' if self.eat("sp") => {
                let pattern = self.expression()?;
                return Some(self.add(Node::Expansion(pattern)));
            }
            b's' if self.eat("sZ") => {
                let pack = if self.peek() == Some(b'T') {
                    self.template_parameter()?
                } else {
                    self.function_parameter()?
                };
                return Some(self.add(Node::PackSize(pack)));
            }
            b'f' if matches!(self.peek_next(), Some(b'p' | b'L')) && !self.at_fold() => {
                return self.function_parameter();
            }
            b'f' => return self.fold(),
            b'i' if self.eat("il") => {
                let items = self.until_end(Self::expression)?;
                return Some(self.add(Node::Braced(None, items)));
            }
            b't' if self.eat("tl") => {
                let of = self.typ()?;
                let items = self.until_end(Self::expression)?;
                return Some(self.add(Node::Braced(Some(of), items)));
            }
            b'g' if self.eat("gs") => {
                let of = self.expression()?;
                return Some(self.add(Node::Global(of)));
            }
            b't' if self.eat("tr") => return Some(self.add(Node::Throw)),
            b'o' if self.eat("on") => {
                let name = self.operator_name()?;
                return self.with_arguments(name);
            }
            _ => {}
        }
        self.operation()
    }

    /// A fold's letters and `fp` or `fL` with a parameter's number start alike.
    fn at_fold(&self) -> bool {
        self.rest()
            .strip_prefix("fL")
            .is_some_and(|rest| !rest.starts_with(|digit: char| digit.is_ascii_digit()))
    }

    fn simple_name(&mut self) -> Option<Id> {
        let name = self.source_name()?;
        self.with_arguments(name)
    }

    fn with_arguments(&mut self, name: Id) -> Option<Id> {
        if self.peek() != Some(b'I') {
            return Some(name);
        }
        let arguments = self.template_arguments()?;
        Some(self.add(Node::Template(name, arguments)))
    }

    /// A name in the scope of a type, or of names that end in `E`.
    fn scoped_name(&mut self) -> Option<Id> {
        let scope = if self.eat("N") {
            let scope = self.typ()?;
            self.scope_levels(Some(scope))?
        } else {
            let start = self.at;
            let levels = if self.peek()?.is_ascii_digit() { self.scope_levels(None) } else { None };
            if let Some(scope) = levels {
                scope
            } else {
                self.at = start;
                self.typ()?
            }
        };
        let name = if self.eat("on") { self.operator_name()? } else { self.source_name()? };
        let nested = self.add(Node::Nested(scope, name));
        self.with_arguments(nested)
    }

    fn scope_levels(&mut self, mut scope: Option<Id>) -> Option<Id> {
        while !self.eat("E") {
            let level = self.simple_name()?;
            scope = Some(scope.map_or(level, |scope| self.add(Node::Nested(scope, level))));
        }
        scope
    }

    fn function_parameter(&mut self) -> Option<Id> {
        if self.eat("fpT") {
            return Some(self.add(Node::FunctionParameter(None)));
        }
        if self.eat("fL") {
            self.number()?;
            self.expect("p")?;
        } else {
            self.expect("fp")?;
        }
        while matches!(self.peek(), Some(b'r' | b'V' | b'K')) {
            self.at += 1;
        }
        let number = self.compact_number()?;
        Some(self.add(Node::FunctionParameter(Some(number + 1))))
    }

    fn fold(&mut self) -> Option<Id> {
        let kind = self.rest().get(..2)?;
        self.at += 2;
        let code = self.rest().get(..2)?;
        self.at += 2;
        let operator = operators::operator(code).filter(|operator| operator.how == Use::Binary)?.text;
        let first = self.expression()?;
        let node = match kind {
            "fl" => Node::LeftFold(None, operator, first),
            "fr" => Node::RightFold(first, operator, None),
            "fL" => Node::LeftFold(Some(first), operator, self.expression()?),
            "fR" => Node::RightFold(first, operator, Some(self.expression()?)),
            _ => return None,
        };
        Some(self.add(node))
    }

    fn operation(&mut self) -> Option<Id> {
        let code = self.rest().get(..2)?;
        self.at += 2;
        let node = match code {
            "cl" => {
                let callee = self.expression()?;
                Node::Call(callee, self.until_end(Self::expression)?)
            }
            "cv" => {
                let to = self.typ()?;
                let from =
                    if self.eat("_") { self.until_end(Self::expression)? } else { vec![self.expression()?] };
                Node::Cast(to, from)
            }
            "ix" => Node::Index(self.expression()?, self.expression()?),
            "qu" => Node::Ternary(self.expression()?, self.expression()?, self.expression()?),
            "pp" | "mm" => {
                let text = operators::operator(code)?.text;
                if self.eat("_") {
                    Node::Unary(text, self.expression()?)
                } else {
                    Node::Suffix(self.expression()?, text)
                }
            }
            "dt" | "pt" => {
                let of = self.expression()?;
                let text = operators::operator(code)?.text;
                Node::Binary(of, text, self.member()?)
            }
            "st" | "at" | "ti" => Node::Wrapped(operators::operator(code)?.text, self.typ()?),
            _ => {
                let operator = operators::operator(code)?;
                match operator.how {
                    Use::Unary => Node::Unary(operator.text, self.expression()?),
                    Use::Binary => Node::Binary(self.expression()?, operator.text, self.expression()?),
                    Use::Wrapped => Node::Wrapped(operator.text, self.expression()?),
                    Use::Cast => Node::NamedCast(operator.text, self.typ()?, self.expression()?),
                    Use::New => return self.new_expression(operator.text),
                    Use::Name => return None,
                }
            }
        };
        Some(self.add(node))
    }

    /// What stands behind `.` or `->`.
    fn member(&mut self) -> Option<Id> {
        match self.peek()? {
            b'0'..=b'9' => self.simple_name(),
            b'o' if self.eat("on") => {
                let name = self.operator_name()?;
                self.with_arguments(name)
            }
            b'd' if self.eat("dn") => {
                let class = if self.peek()?.is_ascii_digit() { self.source_name()? } else { self.typ()? };
                Some(self.add(Node::Destructor(class)))
            }
            _ => self.expression(),
        }
    }

    fn new_expression(&mut self, word: &'static str) -> Option<Id> {
        let mut place = Vec::new();
        while !self.eat("_") {
            place.push(self.expression()?);
        }
        let of = self.typ()?;
        let with = if self.eat("pi") {
            Some(self.until_end(Self::expression)?)
        } else {
            self.expect("E")?;
            None
        };
        Some(self.add(Node::New { word, place, of, with }))
    }

    pub(super) fn literal(&mut self) -> Option<Id> {
        self.expect("L")?;
        if self.eat("_Z") || self.eat("Z") {
            let name = self.encoding()?;
            self.expect("E")?;
            return Some(name);
        }
        let of = self.typ()?;
        if self.peek() == Some(b'E') {
            self.at += 1;
            return Some(match self.nodes[of] {
                Node::Builtin("decltype(nullptr)", _) => of,
                _ => self.add(Node::Literal { of, negative: false, value: "" }),
            });
        }
        let negative = self.eat("n");
        let length = self.rest().find('E')?;
        let value = &self.rest()[..length];
        self.at += length + 1;
        Some(self.add(Node::Literal { of, negative, value }))
    }
}
