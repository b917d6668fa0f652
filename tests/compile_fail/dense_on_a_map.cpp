// expect: septum: a dense layer receives a map larger than one pixel
// expect: at_layer<1>
// expect: for_input<3, ?3, ?8>
#include <septum/nn/stack.hpp>

struct net : septum::stack<septum::input<1, SEPTUM_FAIL ? 5 : 3>, septum::conv<8, 3>,
                           septum::dense<2>, septum::softmax> {};
static_assert(net::output.channels == 2);
