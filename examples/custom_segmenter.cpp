// A segmenter of one's own: a net, a rule for what counts as a cell, and the two composed at
// compile time. Usage: custom_segmenter MODEL.safetensors IMAGE.tif LABELS.tif
#include <septum/backend/onednn.hpp>
#include <septum/io/model.hpp>
#include <septum/io/tiff.hpp>
#include <septum/nn/feature_nets.hpp>
#include <septum/segment/refiners.hpp>
#include <septum/segment/segmenter.hpp>
namespace sp = septum;

// A net is a named type; shapes, parameters and the field it sees are constants.
struct my_net : sp::bn_feature_net_31x31<1, 3> {
  enum { edge, interior, background };
};
static_assert(my_net::receptive_field == 31);

// A refiner is anything that can be called like this: no base class, no registration.
struct drop_slender_cells {
  double aspect_max = 8.0;
  void operator()(sp::labels& cells, sp::probabilities const&, sp::image const&) const {
    sp::remove_regions_if(cells, [&](sp::region_properties const& cell) {
      return cell.major_axis_px > aspect_max * cell.minor_axis_px;
    });
  }
};

using my_segmenter = sp::segmenter<
    sp::median_box_normalizer, sp::ensemble<my_net, sp::onednn>,
    sp::pipeline<sp::threshold<my_net::interior>, sp::region_filter, drop_slender_cells>>;

int main(int argc, char** argv) {
  if (argc != 4) return 0;
  my_segmenter segment{{.window = 31},
                       sp::ensemble<my_net, sp::onednn>{sp::io::read_model(argv[1])},
                       {{{.above = 0.6F}, {.area_min = 25}, {.aspect_max = 8.0}}}};
  sp::io::write_tiff(argv[3], segment(sp::io::read_tiff(argv[2])));
}
