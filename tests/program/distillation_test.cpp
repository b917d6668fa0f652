// Learning from a teacher with the program.
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <limits>
#include <septum/io/model.hpp>
#include <septum/io/tiff.hpp>
#include <string>

#include "program/child_process.hpp"
#include "program/program.hpp"

namespace fs = std::filesystem;
using program_test::content;
using program_test::run_until;
using program_test::sandbox;

namespace {

// The model of a file, changed and written under another name.
template <class Change>
void rewrite_model(sandbox const& box, std::string const& from, std::string const& to,
                   Change const& change) {
  auto model = septum::io::read_model(box.path(from));
  change(model.description);
  septum::io::write_model(box.path(to), model);
}

struct classroom : sandbox {
  classroom() {
    write_dataset("day1");
    write_model("t.safetensors");
    write_model("u.safetensors", "bn_feature_net_31x31", {"phase"}, 2);
  }
  // The bytes of the model that a run writes.
  [[nodiscard]] std::string train(std::string const& options) const {
    auto const done =
        run("train day1 --steps 4 --crop 24 --quiet --model m.safetensors " + options);
    BOOST_REQUIRE_MESSAGE(done.exit_code == 0, options << ": " << done.err);
    return content(path("m.safetensors"));
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(distillation_with_the_program)

BOOST_AUTO_TEST_CASE(a_student_depends_on_its_teacher_and_not_on_threads) {
  classroom const box;
  std::string const learn = "--teacher t.safetensors ";
  auto const student = box.train(learn + "--threads 1");
  BOOST_TEST((box.train(learn + "--threads 2") == student));
  BOOST_TEST((box.train("--threads 1") != student));
  BOOST_TEST((box.train(learn + "--label-weight 0.5") != student));
  BOOST_TEST((box.train("--teacher u.safetensors") != student));
  auto const both = box.train("--teacher t.safetensors u.safetensors");
  BOOST_TEST((both != student));
  auto const provenance = septum::io::read_model(box.path("m.safetensors")).description.provenance;
  BOOST_TEST(provenance.at("teacher") == "t.safetensors, u.safetensors");
  BOOST_TEST(provenance.at("label_weight") == "0");
  // With labels alone, the teacher says only which pixels count.
  BOOST_TEST((box.train(learn + "--label-weight 1 --validation region") !=
              box.train(learn + "--validation region")));
}

BOOST_AUTO_TEST_CASE(patches_and_images_without_annotation_learn_from_a_teacher) {
  classroom const box;
  std::string const learn = "--teacher t.safetensors ";
  auto const patches = [&](std::string const& options) {
    auto const done = box.run("train day1 --patches 2560 --quiet --model p.safetensors " + options);
    BOOST_REQUIRE_MESSAGE(done.exit_code == 0, done.err);
    return content(box.path("p.safetensors"));
  };
  auto const student = patches(learn + "--threads 1");
  BOOST_TEST((patches(learn + "--threads 2") == student));
  BOOST_TEST((patches("") != student));
  box.write_picture("more.tif", 90, 80);
  auto const alone = box.train(learn);
  auto const more = box.train(learn + "--unlabelled more.tif");
  BOOST_TEST((more != alone));
  BOOST_TEST((box.train(learn + "--unlabelled more.tif --threads 1") == more));
  // An image without annotation is no use without a teacher.
  BOOST_TEST(box.run("train day1 --unlabelled more.tif --model x.safetensors").exit_code == 2);
  BOOST_TEST(box.run("train day1 --label-weight 0.5 --model x.safetensors").exit_code == 2);
}

BOOST_AUTO_TEST_CASE(teachers_and_images_that_do_not_fit_are_refused) {
  classroom const box;
  auto const refuse = [&](std::string const& options, std::string const& names) {
    auto const done = box.run("train day1 --steps 2 --crop 16 --model x.safetensors " + options);
    BOOST_TEST_CONTEXT(options << ": " << done.err) {
      BOOST_TEST(done.exit_code == 3);
      BOOST_TEST(done.err.find(names) != std::string::npos);
      BOOST_TEST(!fs::exists(box.path("x.safetensors")));
      BOOST_TEST(box.hidden_leftovers() == 0);
    }
  };
  rewrite_model(box, "t.safetensors", "channels.safetensors",
                [](auto& description) { description.channels = {"nuclear"}; });
  rewrite_model(box, "t.safetensors", "classes.safetensors",
                [](auto& description) { description.classes[1] = "nucleus"; });
  rewrite_model(box, "t.safetensors", "normalizer.safetensors",
                [](auto& description) { description.normalizer = "max"; });
  for (std::string const name : {"channels", "classes", "normalizer"})
    refuse("--teacher " + name + ".safetensors", name + ".safetensors: a teacher with the " + name);
  box.write_model<septum::bn_feature_net_61x61<>>("other.safetensors", "bn_feature_net_61x61");
  refuse("--teacher t.safetensors other.safetensors", "other.safetensors");
  refuse("--teacher nobody", "nobody");
  refuse("--teacher t.safetensors --backend cudnn --mode patch", "cudnn");
  std::string const more = "--teacher t.safetensors --unlabelled ";
  box.write_picture("two.tif", 90, 80, 2);
  refuse(more + "two.tif", "two.tif");
  auto pixels = sandbox::picture(64, 64);
  pixels(7, 9, 0) = std::numeric_limits<float>::quiet_NaN();
  septum::io::write_tiff(box.path("nan.tif"), pixels);
  refuse(more + "nan.tif", "nan.tif");
  box.write_picture("small.tif", 20, 200);
  refuse(more + "small.tif", "small.tif");
}

BOOST_AUTO_TEST_CASE(a_stopped_run_goes_on_with_its_own_teacher_alone) {
  classroom const box;
  std::string const recipe = "train day1 --steps 80 --crop 40 --threads 1 --quiet ";
  std::string const learn = "--teacher t.safetensors ";
  BOOST_REQUIRE(box.run(recipe + learn + "--model whole.safetensors").exit_code == 0);
  auto const stopped = run_until(box, recipe + learn + "--model o", "o.checkpoint.0", SIGINT);
  BOOST_REQUIRE_MESSAGE(stopped.exit_code == 130, stopped.err);
  BOOST_TEST_REQUIRE(fs::exists(box.path("o.checkpoint.0")));
  for (std::string const other :
       {"--teacher u.safetensors ", "", "--teacher t.safetensors --label-weight 0.25 "}) {
    auto const foreign = box.run(recipe + other + "--resume --model o");
    BOOST_TEST(foreign.exit_code == 3, other);
    BOOST_TEST(foreign.err.find("o.checkpoint.0") != std::string::npos);
  }
  auto const resumed = box.run(recipe + learn + "--resume --model o");
  BOOST_REQUIRE_MESSAGE(resumed.exit_code == 0, resumed.err);
  BOOST_TEST((content(box.path("o")) == content(box.path("whole.safetensors"))));
}

BOOST_AUTO_TEST_SUITE_END()
