// expect: septum: a refiner reads a class index that the network does not output. FIX:
// expect: reads_class<7>
#include <septum/segment/segmenter.hpp>

namespace sp = septum;

using segmenter =
    sp::segmenter<sp::median_box_normalizer, sp::stored_predictor<3>,
                  sp::pipeline<sp::threshold<SEPTUM_FAIL ? 7 : 1>, sp::region_filter>>;

sp::labels cells_of(segmenter& segment, sp::image const& raw) { return segment(raw); }
