//! Writes expressions: operands in parentheses unless they are names, no blanks around operators.

use crate::text::demangle::itanium::node::{Id, Node, Style};
use crate::text::demangle::itanium::print::{Pack, Printer};

impl<'n, 's> Printer<'n, 's> {
    pub(super) fn expression(&mut self, node: &'n Node<'s>) -> Option<()> {
        match node {
            Node::Literal { of, negative, value } => self.literal(*of, *negative, value),
            Node::Unary(operator, of) => {
                self.text(operator)?;
                match &self.nodes[*of] {
                    // The address of a member function needs no parameters.
                    Node::Encoding(name, _)
                        if *operator == "&" && matches!(self.nodes[*name], Node::Nested(..)) =>
                    {
                        self.operand(*name)
                    }
                    _ => self.operand(*of),
                }
            }
            Node::Suffix(of, operator) => {
                self.operand(*of)?;
                self.text(operator)
            }
            // The parentheses keep the operator from closing a list of template arguments.
            Node::Binary(left, ">", right) => {
                self.text("(")?;
                self.binary(*left, ">", *right)?;
                self.text(")")
            }
            Node::Binary(left, operator, right) => self.binary(*left, operator, *right),
            Node::Index(of, index) => {
                self.operand(*of)?;
                self.text("[")?;
                self.both(*index)?;
                self.text("]")
            }
            Node::Ternary(condition, yes, no) => {
                self.binary(*condition, "?", *yes)?;
                self.text(" : ")?;
                self.operand(*no)
            }
            Node::Call(callee, arguments) => {
                let callee = match &self.nodes[*callee] {
                    Node::Encoding(name, _) => *name,
                    _ => *callee,
                };
                self.operand(callee)?;
                self.parenthesized(arguments)
            }
            Node::Cast(to, from) => {
                self.parenthesized(&[*to])?;
                match from.as_slice() {
                    [from] => self.operand(*from),
                    from => self.parenthesized(from),
                }
            }
            Node::NamedCast(word, to, from) => {
                self.text(word)?;
                self.text("<")?;
                self.both(*to)?;
                self.text(">")?;
                self.parenthesized(&[*from])
            }
            Node::Global(of) => {
                self.text("::")?;
                self.both(*of)
            }
            Node::Wrapped(word, of) => {
                self.text(word)?;
                self.parenthesized(&[*of])
            }
            Node::Decltype(of) => {
                self.text("decltype ")?;
                self.parenthesized(&[*of])
            }
            Node::PackSize(pack) => match self.find_pack(*pack)? {
                Pack::Of(length) => self.number(length),
                Pack::Absent => self.number(0),
            },
            Node::New { word, place, of, with } => {
                self.text(word)?;
                self.text(" ")?;
                if !place.is_empty() {
                    self.parenthesized(place)?;
                    self.text(" ")?;
                }
                self.both(*of)?;
                with.as_ref().map_or(Some(()), |with| self.parenthesized(with))
            }
            Node::FunctionParameter(None) => self.text("this"),
            Node::FunctionParameter(Some(number)) => {
                self.text("{parm#")?;
                self.number(*number)?;
                self.text("}")
            }
            Node::Braced(of, items) => {
                if let Some(of) = of {
                    self.both(*of)?;
                }
                self.text("{")?;
                self.list(items)?;
                self.text("}")
            }
            Node::Throw => self.text("throw"),
            Node::LeftFold(first, operator, pack) => {
                self.text("(")?;
                if let Some(first) = first {
                    self.operand(*first)?;
                    self.text(operator)?;
                }
                self.text("...")?;
                self.text(operator)?;
                self.whole_pack(*pack)?;
                self.text(")")
            }
            Node::RightFold(pack, operator, last) => {
                self.text("(")?;
                self.whole_pack(*pack)?;
                self.text(operator)?;
                self.text("...")?;
                if let Some(last) = last {
                    self.text(operator)?;
                    self.operand(*last)?;
                }
                self.text(")")
            }
            _ => None,
        }
    }

    fn binary(&mut self, left: Id, operator: &str, right: Id) -> Option<()> {
        self.operand(left)?;
        self.text(operator)?;
        self.operand(right)
    }

    fn parenthesized(&mut self, items: &[Id]) -> Option<()> {
        self.text("(")?;
        self.list(items)?;
        self.text(")")
    }

    /// An operand: names stand alone, everything else in parentheses.
    pub(super) fn operand(&mut self, id: Id) -> Option<()> {
        match &self.nodes[id] {
            Node::Name(_) | Node::Nested(..) | Node::Braced(..) | Node::FunctionParameter(_) => self.both(id),
            _ => self.parenthesized(&[id]),
        }
    }

    /// In a fold a pack's elements stand together.
    fn whole_pack(&mut self, pack: Id) -> Option<()> {
        let outer = self.pack.take();
        let result = self.operand(pack);
        self.pack = outer;
        result
    }

    fn literal(&mut self, of: Id, negative: bool, value: &str) -> Option<()> {
        let sign = if negative { "-" } else { "" };
        match self.nodes[of] {
            Node::Builtin(_, Style::Suffix(suffix)) => {
                self.text(sign)?;
                self.text(value)?;
                self.text(suffix)
            }
            Node::Builtin(_, Style::Bool) if !negative && matches!(value, "0" | "1") => {
                self.text(if value == "1" { "true" } else { "false" })
            }
            Node::Builtin(_, Style::Float) => {
                self.parenthesized(&[of])?;
                self.text(sign)?;
                self.text("[")?;
                self.text(value)?;
                self.text("]")
            }
            _ => {
                self.parenthesized(&[of])?;
                self.text(sign)?;
                self.text(value)
            }
        }
    }
}
