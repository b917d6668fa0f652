#include "every_header.hpp"

int value_from_the_second_unit();

int value_from_the_second_unit() { return SEPTUM_VERSION_MAJOR; }
