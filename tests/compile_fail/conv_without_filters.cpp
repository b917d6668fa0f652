// expect: septum: conv<Filters, Kernel, Dilation> wants positive numbers
#include <septum/nn/stack.hpp>

struct net : septum::stack<septum::input<1>, septum::conv<SEPTUM_FAIL ? 0 : 8, 3>> {};
static_assert(net::parameter_count > 0);
