// 2^26 different types, each with a longer list of arguments than the one before.
template <int Depth, class... Path> struct Tree {
    static const unsigned long value = Tree<Depth - 1, Path..., int>::value + Tree<Depth - 1, Path..., char>::value;
};
template <class... Path> struct Tree<0, Path...> {
    static const unsigned long value = sizeof...(Path);
};
unsigned long use = Tree<26>::value;
