#include <septum/core/shape.hpp>
#include <septum/image/types.hpp>
#include <septum/version.hpp>

int main() {
  septum::image const picture = septum::image::from_shape({3, 4, 1});
  return picture.size() == 12 ? 0 : 1;
}
