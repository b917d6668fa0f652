// Segments a blank frame, and takes its labels through a file: enough to need every library that a
// component brings along. The projects beside this file define USES_<component>.
#include <septum/backend/reference.hpp>
#include <septum/net/ensemble.hpp>
#include <septum/net/parameters.hpp>
#include <septum/segment/segmenter.hpp>
#include <septum/version.hpp>
#if defined(USES_onednn)
#  include <septum/backend/onednn.hpp>
using backend = septum::onednn;
#else
using backend = septum::reference;
#endif
#if defined(USES_io)
#  include <septum/io/tiff.hpp>
#endif

struct net : septum::stack<septum::input<1>, septum::conv<4, 3>, septum::relu, septum::conv<3, 3>,
                           septum::softmax> {
  enum { edge, interior, background };
};
using nets = septum::ensemble<net, backend>;
using segmenter = septum::segmenter<septum::median_box_normalizer, nets,
                                    septum::pipeline<septum::threshold<net::interior>>>;

int main() {
  segmenter segment{{.window = 5},
                    nets{{septum::he_normal<net, float>(septum::counter_rng{1})}},
                    {{{.above = 1.0F}}}};
  septum::image frame = septum::image::from_shape({12, 16, 1});
  frame.fill(1.0F);
  septum::labels const cells = segment(frame);
#if defined(USES_io)
  septum::io::write_tiff("labels.tif", cells);
  if (septum::io::read_tiff_labels("labels.tif") != cells) return 1;
#endif
  return cells.shape()[0] == 12 && cells(6, 8) == 0 ? 0 : 1;
}
