#define BOOST_TEST_MODULE septum
#include <boost/test/unit_test.hpp>
