// 2^26 different types.
template <int Depth, unsigned long Path> struct Tree {
    static const unsigned long value = Tree<Depth - 1, 2 * Path>::value + Tree<Depth - 1, 2 * Path + 1>::value;
};
template <unsigned long Path> struct Tree<0, Path> {
    static const unsigned long value = Path;
};
unsigned long use = Tree<26, 1>::value;
