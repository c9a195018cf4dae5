//! Reads names. Knows nothing of how they are shown.

use crate::text::demangle::itanium::DEEPEST;
use crate::text::demangle::itanium::node::{Function, Id, Node, Qualifiers};
use crate::text::demangle::itanium::operators;

/// How many types and names may be read: going back over a conversion's arguments makes some names explode.
const MOST_STEPS: usize = 1 << 18;

/// How far a name has been read, and what came of it.
#[derive(Debug)]
pub(super) struct Parser<'s> {
    pub(super) text: &'s str,
    pub(super) at: usize,
    pub(super) nodes: Vec<Node<'s>>,
    pub(super) substitutions: Vec<Id>,
    /// The class name that a constructor or destructor repeats.
    last_name: Option<Id>,
    /// Whether the type of a conversion is being read: arguments behind a parameter belong to the conversion.
    pub(super) in_conversion: bool,
    depth: usize,
    pub(super) steps: usize,
}

/// A name, and what decides whether its function's type starts with the return type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) id: Id,
    qualifiers: Qualifiers,
    has_return_type: bool,
}

impl<'s> Parser<'s> {
    pub(super) fn new(text: &'s str) -> Self {
        Self {
            text,
            at: 0,
            nodes: Vec::new(),
            substitutions: Vec::new(),
            last_name: None,
            in_conversion: false,
            depth: 0,
            steps: 0,
        }
    }

    /// A whole symbol: `_Z`, an encoding, and the suffixes that compilers give to clones.
    pub(super) fn symbol(&mut self) -> Option<Id> {
        if let Some(rest) = self.text.strip_prefix("_GLOBAL_") {
            return self.global_function(rest);
        }
        self.expect("_Z")?;
        let mut symbol = self.encoding()?;
        while let Some(end) = self.clone_suffix() {
            let suffix = &self.text[self.at..end];
            self.at = end;
            symbol = self.add(Node::Clone(symbol, suffix));
        }
        (self.at == self.text.len()).then_some(symbol)
    }

    /// Where the clone suffix that starts here ends: a dot, a word, and dots with numbers.
    fn clone_suffix(&self) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if self.peek() != Some(b'.') || !self.peek_next().is_some_and(word) {
            return None;
        }
        let mut end = self.at + 1;
        while bytes.get(end).copied().is_some_and(word) {
            end += 1;
        }
        while bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
            end += 2;
            while bytes.get(end).is_some_and(u8::is_ascii_digit) {
                end += 1;
            }
        }
        Some(end)
    }

    pub(super) fn rest(&self) -> &'s str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn peek_next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at + 1).copied()
    }

    pub(super) fn eat(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    pub(super) fn expect(&mut self, word: &str) -> Option<()> {
        self.eat(word).then_some(())
    }

    pub(super) fn add(&mut self, node: Node<'s>) -> Id {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub(super) fn remember(&mut self, id: Id) -> Id {
        self.substitutions.push(id);
        id
    }

    /// Runs `read` one level deeper, unless that is too deep.
    pub(super) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.steps += 1;
        if self.depth >= DEEPEST || self.steps >= MOST_STEPS {
            return None;
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    pub(super) fn number(&mut self) -> Option<usize> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.text[start..self.at].parse().ok()
    }

    /// `_` is 0, `0_` is 1, and so on. There is always a next one, because some are shown counted from 1.
    pub(super) fn compact_number(&mut self) -> Option<usize> {
        let number = if self.peek() == Some(b'_') { 0 } else { self.number()?.checked_add(1)? };
        self.expect("_")?;
        (number < usize::MAX).then_some(number)
    }

    /// Items until `E`.
    pub(super) fn until_end(&mut self, mut read: impl FnMut(&mut Self) -> Option<Id>) -> Option<Vec<Id>> {
        let mut items = Vec::new();
        while !self.eat("E") {
            items.push(read(self)?);
        }
        Some(items)
    }

    pub(super) fn encoding(&mut self) -> Option<Id> {
        self.nested(Self::encoding_inside)
    }

    fn encoding_inside(&mut self) -> Option<Id> {
        if matches!(self.peek(), Some(b'G' | b'T')) {
            return self.special();
        }
        let name = self.name()?;
        if matches!(self.peek(), None | Some(b'E' | b'.')) {
            return Some(name.id);
        }
        let returns = if name.has_return_type { Some(self.typ()?) } else { None };
        let parameters = self.parameters()?;
        Some(self.add(Node::Encoding(name.id, Function { returns, parameters, qualifiers: name.qualifiers })))
    }

    /// Types up to the end; `v` alone is none.
    pub(super) fn parameters(&mut self) -> Option<Vec<Id>> {
        let mut parameters = Vec::new();
        while !self.ends_parameters() {
            parameters.push(self.typ()?);
        }
        let is_void = |id: Id| matches!(self.nodes[id], Node::Builtin("void", _));
        if parameters.len() == 1 && is_void(parameters[0]) {
            parameters.clear();
        }
        Some(parameters)
    }

    /// Whether the parameters of a function are over: behind them may stand what kind of reference it is called on.
    pub(super) fn ends_parameters(&self) -> bool {
        match self.peek() {
            None | Some(b'E' | b'.') => true,
            Some(b'R' | b'O') => self.peek_next() == Some(b'E'),
            _ => false,
        }
    }

    /// `_` is 0, `0_` is 1; digits and capital letters count to 36.
    pub(super) fn sequence_number(&mut self) -> Option<usize> {
        if self.eat("_") {
            return Some(0);
        }
        let mut number = 0_usize;
        while let Some(byte) = self.peek()
            && byte != b'_'
        {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'A'..=b'Z' => byte - b'A' + 10,
                _ => return None,
            };
            number = number.checked_mul(36)?.checked_add(usize::from(digit))?;
            self.at += 1;
        }
        self.expect("_")?;
        number.checked_add(1)
    }

    pub(super) fn name(&mut self) -> Option<Named> {
        self.nested(Self::name_inside)
    }

    fn name_inside(&mut self) -> Option<Named> {
        let plain = |id| Named { id, qualifiers: Qualifiers::default(), has_return_type: false };
        match self.peek()? {
            b'N' => return self.nested_name(),
            b'Z' => return self.local_name(),
            _ => {}
        }
        let mut is_substitution = false;
        let mut id = if self.eat("St") {
            let std = self.add(Node::Name("std"));
            let name = self.unqualified_name()?;
            self.add(Node::Nested(std, name))
        } else if self.peek() == Some(b'S') {
            is_substitution = true;
            self.substitution()?
        } else {
            self.unqualified_name()?
        };
        if self.peek() != Some(b'I') {
            return Some(plain(id));
        }
        if !is_substitution {
            self.remember(id);
        }
        let has_return_type = !self.is_special_member(id);
        let arguments = self.template_arguments()?;
        id = self.add(Node::Template(id, arguments));
        Some(Named { has_return_type, ..plain(id) })
    }

    /// Whether a name ends in a constructor, destructor or conversion.
    fn is_special_member(&self, id: Id) -> bool {
        match &self.nodes[id] {
            Node::Nested(_, name) | Node::Local(_, name) | Node::Tagged(name, _) => {
                self.is_special_member(*name)
            }
            Node::Constructor(_) | Node::Destructor(_) | Node::Conversion(_) => true,
            _ => false,
        }
    }

    fn nested_name(&mut self) -> Option<Named> {
        self.expect("N")?;
        let mut qualifiers = self.qualifiers();
        if self.eat("R") {
            qualifiers.reference = " &";
        } else if self.eat("O") {
            qualifiers.reference = " &&";
        }
        let mut prefix = None;
        let mut has_return_type = false;
        while !self.eat("E") {
            let is_substitution = self.peek() == Some(b'S') && self.peek_next() != Some(b't');
            let next = |parser: &mut Self, part: Id| match prefix {
                Some(scope) => parser.add(Node::Nested(scope, part)),
                None => part,
            };
            has_return_type = false;
            let id = match self.peek()? {
                b'I' => {
                    let template = prefix?;
                    has_return_type = !self.is_special_member(template);
                    let arguments = self.template_arguments()?;
                    self.add(Node::Template(template, arguments))
                }
                b'S' => {
                    let part = self.substitution()?;
                    next(self, part)
                }
                b'T' => {
                    let part = self.template_parameter()?;
                    next(self, part)
                }
                b'D' if matches!(self.peek_next(), Some(b't' | b'T')) => {
                    let part = self.typ_unremembered()?;
                    next(self, part)
                }
                b'M' => {
                    // The scope of a member's initializer says nothing more.
                    self.at += 1;
                    continue;
                }
                _ => {
                    let part = self.unqualified_name()?;
                    next(self, part)
                }
            };
            prefix = Some(id);
            if !is_substitution && self.peek() != Some(b'E') && !matches!(self.nodes[id], Node::Name("std")) {
                self.remember(id);
            }
        }
        let mut id = prefix?;
        if !qualifiers.is_empty() && matches!(self.peek(), None | Some(b'E' | b'.')) {
            id = self.add(Node::Member(id, qualifiers));
        }
        Some(Named { id, qualifiers, has_return_type })
    }

    fn local_name(&mut self) -> Option<Named> {
        self.expect("Z")?;
        let function = self.encoding()?;
        self.expect("E")?;
        if self.eat("s") {
            self.discriminator();
            let name = self.add(Node::Name("string literal"));
            let id = self.add(Node::Local(function, name));
            return Some(Named { id, qualifiers: Qualifiers::default(), has_return_type: false });
        }
        let default_argument = if self.eat("d") { Some(self.compact_number()?) } else { None };
        let mut name = self.name()?;
        self.discriminator();
        if let Some(number) = default_argument {
            name.id = self.add(Node::DefaultArgument(number, name.id));
        }
        Some(Named { id: self.add(Node::Local(function, name.id)), ..name })
    }

    /// Tells apart entities of the same name; never shown.
    fn discriminator(&mut self) {
        if !self.eat("_") {
            return;
        }
        let long = self.eat("_");
        let digits = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if long && self.at > digits + 1 {
            self.eat("_");
        }
    }

    pub(super) fn unqualified_name(&mut self) -> Option<Id> {
        let mut id = match self.peek()? {
            b'0'..=b'9' => self.source_name()?,
            b'L' => {
                self.at += 1;
                let name = self.source_name()?;
                self.discriminator();
                name
            }
            b'C' => {
                self.at += 1;
                let inherited = self.eat("I");
                matches!(self.peek()?, b'1'..=b'5').then_some(())?;
                self.at += 1;
                if inherited {
                    self.typ()?;
                }
                let class = self.last_name?;
                self.add(Node::Constructor(class))
            }
            b'D' if self.peek_next() == Some(b'C') => {
                self.at += 2;
                let names = self.until_end(Self::source_name)?;
                self.add(Node::Binding(names))
            }
            b'D' => {
                self.at += 1;
                matches!(self.peek()?, b'0'..=b'5').then_some(())?;
                self.at += 1;
                let class = self.last_name?;
                self.add(Node::Destructor(class))
            }
            b'U' => self.unnamed_type()?,
            b'a'..=b'z' => self.operator_name()?,
            _ => return None,
        };
        while self.eat("B") {
            let tag = self.identifier()?;
            id = self.add(Node::Tagged(id, tag));
        }
        Some(id)
    }

    fn unnamed_type(&mut self) -> Option<Id> {
        if self.eat("Ul") {
            let parameters = self.parameters()?;
            self.expect("E")?;
            let number = self.compact_number()?;
            let id = self.add(Node::Lambda(parameters, number));
            return Some(id);
        }
        self.expect("Ut")?;
        let number = self.compact_number()?;
        let id = self.add(Node::Unnamed(number));
        Some(id)
    }

    pub(super) fn operator_name(&mut self) -> Option<Id> {
        let code = self.rest().get(..2)?;
        self.at += 2;
        match code {
            "cv" => {
                let outer = std::mem::replace(&mut self.in_conversion, true);
                let to = self.typ();
                self.in_conversion = outer;
                Some(self.add(Node::Conversion(to?)))
            }
            "li" => {
                let name = self.source_name()?;
                Some(self.add(Node::LiteralOperator(name)))
            }
            _ => {
                let operator = operators::operator(code)?;
                Some(self.add(Node::Operator(operator.text)))
            }
        }
    }

    fn identifier(&mut self) -> Option<&'s str> {
        let length = self.number()?;
        let name = self.rest().get(..length)?;
        self.at += length;
        (length > 0).then_some(name)
    }

    pub(super) fn source_name(&mut self) -> Option<Id> {
        let name = self.identifier()?;
        let anonymous = name
            .strip_prefix("_GLOBAL_")
            .is_some_and(|rest| rest.starts_with(['.', '_', '$']) && rest[1..].starts_with('N'));
        let id = self.add(Node::Name(if anonymous { "(anonymous namespace)" } else { name }));
        self.last_name = Some(id);
        Some(id)
    }

    pub(super) fn template_arguments(&mut self) -> Option<Id> {
        // Arguments must not change which class a constructor repeats.
        let last_name = self.last_name;
        if !self.eat("I") {
            self.expect("J")?;
        }
        let arguments = self.nested(|parser| parser.until_end(Self::template_argument))?;
        self.last_name = last_name;
        Some(self.add(Node::Arguments(arguments)))
    }

    pub(super) fn template_argument(&mut self) -> Option<Id> {
        match self.peek()? {
            b'X' => {
                self.at += 1;
                let expression = self.expression()?;
                self.expect("E")?;
                Some(expression)
            }
            b'L' => self.literal(),
            b'I' | b'J' => self.template_arguments(),
            _ => self.typ(),
        }
    }

    pub(super) fn template_parameter(&mut self) -> Option<Id> {
        self.expect("T")?;
        let number = self.compact_number()?;
        Some(self.add(Node::Parameter(number)))
    }

    /// `S` and what it stands for; `St` is the namespace.
    pub(super) fn substitution(&mut self) -> Option<Id> {
        self.expect("S")?;
        let (name, last) = match self.peek()? {
            b'_' | b'0'..=b'9' | b'A'..=b'Z' => {
                let number = self.sequence_number()?;
                return self.substitutions.get(number).copied();
            }
            b't' => ("std", ""),
            b'a' => ("std::allocator", "allocator"),
            b'b' => ("std::basic_string", "basic_string"),
            b's' => {
                ("std::basic_string<char, std::char_traits<char>, std::allocator<char> >", "basic_string")
            }
            b'i' => ("std::basic_istream<char, std::char_traits<char> >", "basic_istream"),
            b'o' => ("std::basic_ostream<char, std::char_traits<char> >", "basic_ostream"),
            b'd' => ("std::basic_iostream<char, std::char_traits<char> >", "basic_iostream"),
            _ => return None,
        };
        self.at += 1;
        if !last.is_empty() {
            self.last_name = Some(self.add(Node::Name(last)));
        }
        let mut id = self.add(Node::Name(name));
        if self.peek() == Some(b'B') {
            while self.eat("B") {
                let tag = self.identifier()?;
                id = self.add(Node::Tagged(id, tag));
            }
            self.remember(id);
        }
        Some(id)
    }
}
