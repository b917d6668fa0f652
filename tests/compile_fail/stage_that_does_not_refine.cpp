// expect: septum: a stage of the pipeline is not a Refiner. FIX:
// expect: at_stage<1>
#include <septum/segment/segmenter.hpp>

namespace sp = septum;

struct reads_only {
#if SEPTUM_FAIL
  void operator()(sp::labels const&) const {}
#else
  void operator()(sp::labels const&, sp::probabilities const&, sp::image const&) const {}
#endif
};

using segmenter = sp::segmenter<sp::identity_normalizer, sp::stored_predictor<3>,
                                sp::pipeline<sp::threshold<1>, reads_only>>;

sp::labels cells_of(segmenter& segment, sp::image const& raw) { return segment(raw); }
