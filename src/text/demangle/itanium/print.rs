//! Writes names and types. What stands on both sides of a name, as in `void (*f)(int)`, is written in two halves.

use std::collections::HashMap;

use crate::text::demangle::itanium::LONGEST_TEXT;
use crate::text::demangle::itanium::node::{Function, Id, Node, Qualifiers};

/// How deeply back references may nest, so that no name exhausts the stack.
const DEEPEST: usize = 256;
/// How many nodes may be visited: back references make some names explode.
const MOST_STEPS: usize = 1 << 20;

/// What a pointer must know of what it points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Function,
    Array,
    Other,
}

/// A pack that a pattern names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pack {
    /// There is none.
    Absent,
    /// One of so many elements.
    Of(usize),
}

/// A text being written.
#[derive(Debug)]
pub(super) struct Printer<'n, 's> {
    pub(super) nodes: &'n [Node<'s>],
    pub(super) out: String,
    /// The arguments of the templates whose parameters are being written, innermost last.
    scopes: Vec<Id>,
    /// The arguments of the template whose name is being written.
    template: Option<Id>,
    /// Which element of a pack is being written; `None` writes all.
    pub(super) pack: Option<usize>,
    /// How many lambdas' parameters are being written: their template parameters are called `auto`.
    lambdas: usize,
    /// Where a comma was taken back last. Two closing angles behind it are not held apart: the demangler that clients
    /// compare with still sees the blank.
    shortened_to: usize,
    /// The scopes in which each parameter was first referred to.
    first_scopes: HashMap<Id, Vec<Id>>,
    /// Parameters being written in the scopes of their first reference.
    referred: Vec<Id>,
    depth: usize,
    steps: usize,
}

/// The text of `root`; `None` if it makes no sense, or is too much. Adds the steps it takes to `steps`.
pub(super) fn print(nodes: &[Node<'_>], root: Id, steps: &mut usize) -> Option<String> {
    let mut printer = Printer {
        nodes,
        out: String::new(),
        scopes: Vec::new(),
        template: None,
        pack: Some(0),
        lambdas: 0,
        shortened_to: 0,
        first_scopes: HashMap::new(),
        referred: Vec::new(),
        depth: 0,
        steps: 0,
    };
    let written = printer.both(root);
    *steps += printer.steps;
    written.map(|()| printer.out)
}

impl<'n, 's> Printer<'n, 's> {
    fn visit(&mut self, id: Id) -> Option<&'n Node<'s>> {
        self.steps += 1;
        (self.steps < MOST_STEPS).then(|| &self.nodes[id])
    }

    fn deeper<T>(&mut self, write: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth >= DEEPEST {
            return None;
        }
        self.depth += 1;
        let result = write(self);
        self.depth -= 1;
        result
    }

    /// Appends `text`, unless that is too much.
    pub(super) fn text(&mut self, text: &str) -> Option<()> {
        (self.out.len() + text.len() <= LONGEST_TEXT).then(|| self.out.push_str(text))
    }

    pub(super) fn number(&mut self, number: usize) -> Option<()> {
        self.text(&number.to_string())
    }

    pub(super) fn both(&mut self, id: Id) -> Option<()> {
        self.left(id)?;
        self.right(id)
    }

    /// Items with commas; what writes nothing at the end takes its comma along.
    pub(super) fn list(&mut self, items: &[Id]) -> Option<()> {
        let mut end = self.out.len();
        for (index, &item) in items.iter().enumerate() {
            if index > 0 {
                self.text(", ")?;
            }
            let before = self.out.len();
            self.both(item)?;
            if self.out.len() > before {
                end = self.out.len();
            }
        }
        if end < self.out.len() {
            self.out.truncate(end);
            self.shortened_to = end;
        }
        Some(())
    }

    fn left(&mut self, id: Id) -> Option<()> {
        self.deeper(|printer| printer.left_inside(id))
    }

    fn left_inside(&mut self, id: Id) -> Option<()> {
        match self.visit(id)? {
            Node::Pointer(of) => self.left_indirect(*of, "*"),
            Node::Reference(of) => self.left_reference(*of, "&"),
            Node::RightReference(of) => self.left_reference(*of, "&&"),
            Node::Qualified(of, qualifiers) => {
                self.left(*of)?;
                let known = self.known_qualifiers(*of)?;
                self.qualifiers(Qualifiers {
                    constant: qualifiers.constant && !known.constant,
                    volatile: qualifiers.volatile && !known.volatile,
                    restrict: qualifiers.restrict && !known.restrict,
                    ..*qualifiers
                })
            }
            Node::VendorQualified(of, name) => {
                self.left(*of)?;
                self.text(" ")?;
                self.both(*name)
            }
            Node::Suffixed(of, suffix) => {
                self.left(*of)?;
                self.text(suffix)
            }
            Node::Array(of, _) => self.left(*of),
            Node::Function(function) => self.left_return(function.returns?),
            Node::MemberPointer(class, member) => {
                self.left(*member)?;
                let gap = match self.shape(*member)? {
                    Shape::Function => "(",
                    Shape::Array => " (",
                    Shape::Other => " ",
                };
                self.text(gap)?;
                self.both(*class)?;
                self.text("::*")
            }
            Node::Parameter(index) if self.lambdas == 0 => self.with_argument(*index, Self::left),
            node => self.name(node),
        }
    }

    fn right(&mut self, id: Id) -> Option<()> {
        self.deeper(|printer| printer.right_inside(id))
    }

    fn right_inside(&mut self, id: Id) -> Option<()> {
        match self.visit(id)? {
            Node::Reference(of) | Node::RightReference(of) => {
                self.with_target(*of, |printer, target| match &printer.nodes[target] {
                    Node::Reference(of) | Node::RightReference(of) => printer.right_indirect(*of),
                    _ => printer.right_indirect(target),
                })
            }
            Node::Pointer(of) | Node::MemberPointer(_, of) => self.right_indirect(*of),
            Node::Qualified(of, _) | Node::VendorQualified(of, _) | Node::Suffixed(of, _) => self.right(*of),
            Node::Array(of, size) => {
                // The bounds of arrays of arrays stand together.
                let gap = if self.out.ends_with(']') { "[" } else { " [" };
                self.text(gap)?;
                if let Some(size) = size {
                    self.both(*size)?;
                }
                self.text("]")?;
                self.right(*of)
            }
            Node::Function(function) => self.right_function(function),
            Node::Parameter(index) if self.lambdas == 0 => self.with_argument(*index, Self::right),
            _ => Some(()),
        }
    }

    /// What stands before a function's name: it stands inside its return type, as in `int (*f())[2]`, if that has a right
    /// half, and a blank behind it otherwise.
    fn left_return(&mut self, returns: Id) -> Option<()> {
        self.left(returns)?;
        let end = self.out.len();
        self.right(returns)?;
        let gap = if self.out.len() > end { "" } else { " " };
        self.out.truncate(end);
        self.text(gap)
    }

    fn left_indirect(&mut self, of: Id, mark: &str) -> Option<()> {
        self.left(of)?;
        let gap = match self.shape(of)? {
            Shape::Function => "(",
            Shape::Array => " (",
            Shape::Other => "",
        };
        self.text(gap)?;
        self.text(mark)
    }

    fn right_indirect(&mut self, of: Id) -> Option<()> {
        if self.shape(of)? != Shape::Other {
            self.text(")")?;
        }
        self.right(of)
    }

    /// A reference to a reference is one reference, and a right reference only if both are.
    fn left_reference(&mut self, of: Id, mark: &'static str) -> Option<()> {
        self.with_target(of, |printer, target| match &printer.nodes[target] {
            Node::Reference(of) => printer.left_indirect(*of, "&"),
            Node::RightReference(of) => printer.left_indirect(*of, mark),
            _ => printer.left_indirect(target, mark),
        })
    }

    fn right_function(&mut self, function: &Function) -> Option<()> {
        self.text("(")?;
        self.list(&function.parameters)?;
        self.text(")")?;
        self.qualifiers(function.qualifiers)?;
        function.returns.map_or(Some(()), |returns| self.right(returns))
    }

    fn qualifiers(&mut self, qualifiers: Qualifiers) -> Option<()> {
        for (on, text) in [
            (qualifiers.constant, " const"),
            (qualifiers.volatile, " volatile"),
            (qualifiers.restrict, " __restrict"),
            (true, qualifiers.reference),
            (true, qualifiers.exception),
        ] {
            self.text(if on { text } else { "" })?;
        }
        Some(())
    }

    /// The qualifiers that what a parameter stands for has already.
    fn known_qualifiers(&mut self, id: Id) -> Option<Qualifiers> {
        self.deeper(|printer| match printer.visit(id)? {
            Node::Qualified(_, qualifiers) => Some(*qualifiers),
            Node::Parameter(index) if printer.lambdas == 0 => {
                printer.with_argument(*index, Self::known_qualifiers)
            }
            _ => Some(Qualifiers::default()),
        })
    }

    fn shape(&mut self, id: Id) -> Option<Shape> {
        self.deeper(|printer| match printer.visit(id)? {
            Node::Function(_) => Some(Shape::Function),
            Node::Array(..) => Some(Shape::Array),
            Node::Qualified(of, _) => printer.shape(*of),
            Node::Parameter(index) if printer.lambdas == 0 => printer.with_argument(*index, Self::shape),
            _ => Some(Shape::Other),
        })
    }

    /// Runs `write` on what a reference refers to, or, if that is a template's parameter, on what it stands for.
    ///
    /// A parameter that comes back as a substitution means what it meant when it was first written: that is how the
    /// demangler that clients compare with reads it, even where the name would have it otherwise.
    fn with_target<T>(&mut self, id: Id, write: impl FnOnce(&mut Self, Id) -> Option<T>) -> Option<T> {
        let Node::Parameter(index) = &self.nodes[id] else { return write(self, id) };
        if self.lambdas > 0 {
            return write(self, id);
        }
        let first = self.first_scopes.entry(id).or_insert_with(|| self.scopes.clone()).clone();
        if self.referred.contains(&id) || first == self.scopes {
            return self.with_argument(*index, write);
        }
        let scopes = std::mem::replace(&mut self.scopes, first);
        self.referred.push(id);
        let result = self.with_argument(*index, write);
        self.referred.pop();
        self.scopes = scopes;
        result
    }

    /// Runs `write` on the argument that a parameter stands for, outside the template: it may name a parameter itself.
    fn with_argument<T>(
        &mut self,
        index: usize,
        write: impl FnOnce(&mut Self, Id) -> Option<T>,
    ) -> Option<T> {
        let argument = self.argument(index)?;
        let element = match (&self.nodes[argument], self.pack) {
            (Node::Arguments(pack), Some(element)) => *pack.get(element)?,
            _ => argument,
        };
        let scope = self.scopes.pop()?;
        let result = self.deeper(|printer| write(printer, element));
        self.scopes.push(scope);
        result
    }

    fn argument(&self, index: usize) -> Option<Id> {
        match &self.nodes[*self.scopes.last()?] {
            Node::Arguments(arguments) => arguments.get(index).copied(),
            _ => None,
        }
    }

    /// Whatever is written in one piece.
    fn name(&mut self, node: &'n Node<'s>) -> Option<()> {
        match node {
            Node::Name(name) | Node::Builtin(name, _) => self.text(name),
            Node::Operator(text) => {
                let gap = if text.starts_with(|first: char| first.is_ascii_lowercase()) { " " } else { "" };
                self.text("operator")?;
                self.text(gap)?;
                self.text(text.trim_end())
            }
            Node::LiteralOperator(name) => {
                self.text("operator\"\" ")?;
                self.both(*name)
            }
            Node::Conversion(to) => self.conversion(*to),
            Node::Constructor(class) => self.both(*class),
            Node::Destructor(class) => {
                self.text("~")?;
                self.both(*class)
            }
            Node::Nested(scope, name) => {
                self.both(*scope)?;
                self.text("::")?;
                self.both(*name)
            }
            Node::Local(function, name) => {
                match &self.nodes[*function] {
                    Node::Encoding(function_name, function) => {
                        self.encoding(*function_name, function, false)?;
                    }
                    _ => self.both(*function)?,
                }
                self.text("::")?;
                self.both(*name)
            }
            Node::DefaultArgument(number, name) => {
                self.text("{default arg#")?;
                self.number(number + 1)?;
                self.text("}::")?;
                self.both(*name)
            }
            Node::Template(name, arguments) => self.template(*name, *arguments),
            Node::Tagged(name, tag) => {
                self.both(*name)?;
                self.text("[abi:")?;
                self.text(tag)?;
                self.text("]")
            }
            Node::Lambda(parameters, number) => {
                self.text("{lambda(")?;
                self.lambdas += 1;
                self.list(parameters)?;
                self.lambdas -= 1;
                self.text(")#")?;
                self.number(number + 1)?;
                self.text("}")
            }
            Node::Unnamed(number) => {
                self.text("{unnamed type#")?;
                self.number(number + 1)?;
                self.text("}")
            }
            Node::Binding(names) => {
                self.text("[")?;
                self.list(names)?;
                self.text("]")
            }
            Node::Member(name, qualifiers) => {
                self.both(*name)?;
                self.qualifiers(*qualifiers)
            }
            Node::Encoding(name, function) => self.encoding(*name, function, true),
            Node::Special(text, of) => {
                self.text(text)?;
                self.both(*of)
            }
            Node::ConstructionTable(base, derived) => {
                self.text("construction vtable for ")?;
                self.both(*base)?;
                self.text("-in-")?;
                self.both(*derived)
            }
            Node::Temporary(of, number) => {
                self.text("reference temporary #")?;
                self.number(*number)?;
                self.text(" for ")?;
                self.both(*of)
            }
            Node::Clone(of, suffix) => {
                self.both(*of)?;
                self.text(" [clone ")?;
                self.text(suffix)?;
                self.text("]")
            }
            Node::Vector(of, size) => {
                self.both(*of)?;
                self.text(" __vector(")?;
                self.both(*size)?;
                self.text(")")
            }
            Node::Parameter(index) => {
                self.text("auto:")?;
                self.number(index + 1)
            }
            Node::Arguments(arguments) => self.list(arguments),
            Node::Expansion(pattern) => self.expansion(*pattern),
            node => self.expression(node),
        }
    }

    fn encoding(&mut self, name: Id, function: &Function, with_return: bool) -> Option<()> {
        let mut core = name;
        while let Node::Local(_, inner) | Node::DefaultArgument(_, inner) | Node::Member(inner, _) =
            &self.nodes[core]
        {
            core = *inner;
        }
        let arguments = match &self.nodes[core] {
            Node::Template(_, arguments) => Some(*arguments),
            _ => None,
        };
        let returns = function.returns.filter(|_| with_return);
        if let Some(returns) = returns {
            self.in_scope(arguments, |printer| printer.left_return(returns))?;
        }
        self.both(name)?;
        let shown = Function { returns, ..function.clone() };
        self.in_scope(arguments, |printer| printer.right_function(&shown))
    }

    fn in_scope<T>(
        &mut self,
        arguments: Option<Id>,
        write: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        self.scopes.extend(arguments);
        let result = write(self);
        if arguments.is_some() {
            self.scopes.pop();
        }
        result
    }

    fn template(&mut self, name: Id, arguments: Id) -> Option<()> {
        let outer = self.template.replace(arguments);
        self.both(name)?;
        self.template = outer;
        self.angles(arguments)
    }

    pub(super) fn angles(&mut self, arguments: Id) -> Option<()> {
        let gap = if self.out.ends_with('<') { " <" } else { "<" };
        self.text(gap)?;
        let outer = self.template.take();
        self.both(arguments)?;
        self.template = outer;
        let after_comma = self.shortened_to == self.out.len();
        let gap = if self.out.ends_with('>') && !after_comma { " >" } else { ">" };
        self.text(gap)
    }

    /// `operator T`: the type may name the parameters of the template that is being written.
    fn conversion(&mut self, to: Id) -> Option<()> {
        self.text("operator ")?;
        let scope = self.template;
        match &self.nodes[to] {
            Node::Template(name, arguments) => {
                self.in_scope(scope, |printer| printer.both(*name))?;
                self.angles(*arguments)
            }
            _ => self.in_scope(scope, |printer| printer.both(to)),
        }
    }

    fn expansion(&mut self, pattern: Id) -> Option<()> {
        let pack = if self.lambdas == 0 { self.find_pack(pattern)? } else { Pack::Absent };
        let Pack::Of(length) = pack else {
            self.operand(pattern)?;
            return self.text("...");
        };
        let outer = self.pack;
        for element in 0..length {
            self.pack = Some(element);
            if element > 0 {
                self.text(", ")?;
            }
            self.both(pattern)?;
        }
        self.pack = outer;
        Some(())
    }

    /// The first pack in a pattern.
    pub(super) fn find_pack(&mut self, pattern: Id) -> Option<Pack> {
        let node = self.visit(pattern)?;
        if let Node::Parameter(index) = node {
            return Some(match self.argument(*index).map(|argument| &self.nodes[argument]) {
                Some(Node::Arguments(pack)) => Pack::Of(pack.len()),
                _ => Pack::Absent,
            });
        }
        let children = node.children();
        self.steps += children.len();
        for child in children {
            let pack = self.deeper(|printer| printer.find_pack(child))?;
            if pack != Pack::Absent {
                return Some(pack);
            }
        }
        Some(Pack::Absent)
    }
}
