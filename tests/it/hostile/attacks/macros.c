// Ten thousand million statements.
#define A(x) x x x x x x x x x x
#define B(x) A(A(A(A(A(x)))))
int x = 0 B(B(+1 - 1));
