//! Reads names and types. Knows nothing of how they are shown.

use crate::text::demangle::itanium::DEEPEST;
use crate::text::demangle::itanium::node::{Function, Id, Node, Qualifiers, Style};
use crate::text::demangle::itanium::operators;

/// How far a name has been read, and what came of it.
#[derive(Debug)]
pub(super) struct Parser<'s> {
    text: &'s str,
    pub(super) at: usize,
    pub(super) nodes: Vec<Node<'s>>,
    substitutions: Vec<Id>,
    /// The class name that a constructor or destructor repeats.
    last_name: Option<Id>,
    depth: usize,
}

/// A name, and what decides whether its function's type starts with the return type.
#[derive(Debug, Clone, Copy)]
struct Named {
    id: Id,
    qualifiers: Qualifiers,
    has_return_type: bool,
}

impl<'s> Parser<'s> {
    pub(super) fn new(text: &'s str) -> Self {
        Self { text, at: 0, nodes: Vec::new(), substitutions: Vec::new(), last_name: None, depth: 0 }
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

    /// Functions that construct or destroy what a file or object needs at start and exit.
    fn global_function(&mut self, rest: &'s str) -> Option<Id> {
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

    fn remember(&mut self, id: Id) -> Id {
        self.substitutions.push(id);
        id
    }

    /// Runs `read` one level deeper, unless that is too deep.
    pub(super) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth >= DEEPEST {
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

    /// `_` is 0, `0_` is 1, and so on.
    pub(super) fn compact_number(&mut self) -> Option<usize> {
        let number = if self.peek() == Some(b'_') { 0 } else { self.number()?.checked_add(1)? };
        self.expect("_")?;
        Some(number)
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
    fn parameters(&mut self) -> Option<Vec<Id>> {
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
    fn ends_parameters(&self) -> bool {
        match self.peek() {
            None | Some(b'E' | b'.') => true,
            Some(b'R' | b'O') => self.peek_next() == Some(b'E'),
            _ => false,
        }
    }

    fn special(&mut self) -> Option<Id> {
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
                let number = self.sequence_number()?;
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

    /// `_` is 0, `0_` is 1; digits and capital letters count to 36.
    fn sequence_number(&mut self) -> Option<usize> {
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

    fn name(&mut self) -> Option<Named> {
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
        let start = self.at;
        if !self.eat("_") {
            return;
        }
        let long = self.eat("_");
        let digits = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) && (long || self.at == digits) {
            self.at += 1;
        }
        if self.at == digits {
            self.at = start;
        } else if long {
            self.eat("_");
        }
    }

    fn unqualified_name(&mut self) -> Option<Id> {
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
                let to = self.typ()?;
                Some(self.add(Node::Conversion(to)))
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

    fn qualifiers(&mut self) -> Qualifiers {
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
    fn typ_unremembered(&mut self) -> Option<Id> {
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
        self.remember(id);
        let arguments = self.template_arguments()?;
        Some(self.add(Node::Template(id, arguments)))
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
