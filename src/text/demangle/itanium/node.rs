//! What a mangled name is made of. Knows neither how it is written nor how it is shown.

/// Index of a node.
pub(super) type Id = usize;

/// What a function type, or a member function, adds to its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Qualifiers {
    pub(super) restrict: bool,
    pub(super) volatile: bool,
    pub(super) constant: bool,
    /// ` &` or ` &&`.
    pub(super) reference: &'static str,
    /// ` noexcept` or ` transaction_safe`.
    pub(super) exception: &'static str,
}

impl Qualifiers {
    /// Whether there are none.
    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// How a literal of a builtin type is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// The number and this suffix.
    Suffix(&'static str),
    /// `false` or `true`.
    Bool,
    /// The type in parentheses, and the bits in brackets.
    Float,
    /// The type in parentheses, and the number.
    Cast,
}

/// A function's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    /// Absent where the mangled name omits it.
    pub(super) returns: Option<Id>,
    pub(super) parameters: Vec<Id>,
    pub(super) qualifiers: Qualifiers,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node<'s> {
    // Names.
    Name(&'s str),
    /// `operator` and this.
    Operator(&'static str),
    /// `operator"" ` and this.
    LiteralOperator(Id),
    Conversion(Id),
    Constructor(Id),
    Destructor(Id),
    Nested(Id, Id),
    /// An entity in a function.
    Local(Id, Id),
    /// The number-th default argument's scope.
    DefaultArgument(usize, Id),
    Template(Id, Id),
    Tagged(Id, &'s str),
    Lambda(Vec<Id>, usize),
    Unnamed(usize),
    Binding(Vec<Id>),
    /// A member function's name with its qualifiers.
    Member(Id, Qualifiers),
    Encoding(Id, Function),
    Special(&'static str, Id),
    ConstructionTable(Id, Id),
    Temporary(Id, usize),
    Clone(Id, &'s str),
    // Types.
    Builtin(&'static str, Style),
    Qualified(Id, Qualifiers),
    VendorQualified(Id, Id),
    Suffixed(Id, &'static str),
    Pointer(Id),
    Reference(Id),
    RightReference(Id),
    Array(Id, Option<Id>),
    MemberPointer(Id, Id),
    Function(Function),
    Vector(Id, Id),
    Decltype(Id),
    /// A template's parameter, by index.
    Parameter(usize),
    Arguments(Vec<Id>),
    Expansion(Id),
    // Expressions.
    Literal {
        of: Id,
        negative: bool,
        value: &'s str,
    },
    Unary(&'static str, Id),
    Suffix(Id, &'static str),
    Binary(Id, &'static str, Id),
    Index(Id, Id),
    Ternary(Id, Id, Id),
    Call(Id, Vec<Id>),
    Cast(Id, Vec<Id>),
    NamedCast(&'static str, Id, Id),
    Global(Id),
    /// A word and its operand in parentheses.
    Wrapped(&'static str, Id),
    PackSize(Id),
    New {
        word: &'static str,
        place: Vec<Id>,
        of: Id,
        with: Option<Vec<Id>>,
    },
    FunctionParameter(Option<usize>),
    Braced(Option<Id>, Vec<Id>),
    Throw,
    LeftFold(Option<Id>, &'static str, Id),
    RightFold(Id, &'static str, Option<Id>),
}

impl Node<'_> {
    /// The nodes in which a pack may be found: expansions have dealt with theirs, and lambdas have none.
    pub(super) fn children(&self) -> Vec<Id> {
        match self {
            Self::Conversion(one)
            | Self::Destructor(one)
            | Self::Tagged(one, _)
            | Self::Member(one, _)
            | Self::Qualified(one, _)
            | Self::Suffixed(one, _)
            | Self::Pointer(one)
            | Self::Reference(one)
            | Self::RightReference(one)
            | Self::Decltype(one)
            | Self::Unary(_, one)
            | Self::Suffix(one, _)
            | Self::Global(one)
            | Self::Wrapped(_, one)
            | Self::PackSize(one) => vec![*one],
            Self::Nested(one, other)
            | Self::Local(one, other)
            | Self::Template(one, other)
            | Self::VendorQualified(one, other)
            | Self::MemberPointer(one, other)
            | Self::Vector(one, other)
            | Self::Binary(one, _, other)
            | Self::Index(one, other)
            | Self::NamedCast(_, one, other) => vec![*one, *other],
            Self::Ternary(one, other, third) => vec![*one, *other, *third],
            Self::Array(of, size) => [*of].into_iter().chain(*size).collect(),
            Self::Function(function) => {
                function.returns.into_iter().chain(function.parameters.clone()).collect()
            }
            Self::Encoding(name, function) => {
                [*name].into_iter().chain(function.parameters.clone()).collect()
            }
            Self::Arguments(items) => items.clone(),
            Self::Call(one, items) | Self::Cast(one, items) => {
                [*one].into_iter().chain(items.clone()).collect()
            }
            Self::Braced(of, items) => of.iter().chain(items).copied().collect(),
            Self::New { place, of, with, .. } => {
                place.iter().chain([of]).chain(with.iter().flatten()).copied().collect()
            }
            Self::LeftFold(one, _, other) => one.iter().chain([other]).copied().collect(),
            Self::RightFold(one, _, other) => [one].into_iter().chain(other).copied().collect(),
            _ => Vec::new(),
        }
    }
}
