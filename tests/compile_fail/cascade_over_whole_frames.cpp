// expect: septum: the predictor of a cascade cannot compute parts of an image alone. FIX:
// expect: whole_frames
#include <septum/segment/cascade.hpp>

namespace sp = septum;

struct whole_frames {
  static constexpr int classes = 3;
  static constexpr int receptive_field = 31;
  sp::probabilities predict(sp::image const& pixels) { return pixels; }
#if !SEPTUM_FAIL
  sp::probabilities predict_parts(sp::image const& pixels, std::span<sp::output_part const>,
                                  std::span<float const>) {
    return pixels;
  }
#endif
};

sp::probabilities predict(sp::cascade<whole_frames>& nets, sp::image const& pixels) {
  return nets.predict(pixels);
}
