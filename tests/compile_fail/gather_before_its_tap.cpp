// expect: septum: a gather reads a tap that does not come before it
#include <septum/nn/stack.hpp>
struct net : septum::stack<septum::input<1>, septum::conv<4, 3>, septum::tap<0>, septum::conv<4, 3>,
                           septum::gather<SEPTUM_FAIL ? 1 : 0>, septum::dense<2>, septum::softmax> {
};
static_assert(net::parameter_count > 0);
