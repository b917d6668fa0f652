#include <septum/io/mask_file.hpp>
#include <septum/io/memory.hpp>
#include <support/hostile.hpp>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;
namespace io = septum::io;

namespace {

void put(fs::path const& path, std::string const& text) {
  fs::create_directories(path.parent_path());
  std::ofstream{path} << text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(memory)

BOOST_AUTO_TEST_CASE(this_machine_says_what_it_has) {
  auto const free = io::available_memory();
  BOOST_REQUIRE(free.has_value());
  BOOST_TEST(*free > (std::uint64_t{16} << 20U));
}

BOOST_AUTO_TEST_CASE(the_least_of_system_and_groups_counts) {
  test::temporary_folder const root;
  BOOST_TEST(!io::available_memory(root.path()).has_value());
  put(root / "proc/meminfo", "MemTotal:  9000 kB\nMemAvailable:    5000 kB\nSwapTotal: 0 kB\n");
  BOOST_TEST(io::available_memory(root.path()).value() == 5000U * 1024);
  put(root / "proc/self/cgroup", "0::/job/step\n");
  put(root / "sys/fs/cgroup/job/step/memory.max", "max\n");
  put(root / "sys/fs/cgroup/job/step/memory.current", "100\n");
  BOOST_TEST(io::available_memory(root.path()).value() == 5000U * 1024);
  // The limit of the group above holds as well; what is cached of files is free.
  put(root / "sys/fs/cgroup/job/memory.max", "4000000\n");
  put(root / "sys/fs/cgroup/job/memory.current", "1500000\n");
  BOOST_TEST(io::available_memory(root.path()).value() == 2500000U);
  put(root / "sys/fs/cgroup/job/memory.stat", "anon 7\ninactive_file 300000\nactive_file 200000\n");
  BOOST_TEST(io::available_memory(root.path()).value() == 3000000U);
  put(root / "sys/fs/cgroup/memory.max", "10\n");
  put(root / "sys/fs/cgroup/memory.current", "50\n");
  BOOST_TEST(io::available_memory(root.path()).value() == 0U);
}

BOOST_AUTO_TEST_CASE(older_groups_are_read_too) {
  test::temporary_folder const root;
  put(root / "proc/meminfo", "MemAvailable: 5000 kB\n");
  put(root / "proc/self/cgroup", "5:cpu:/docker/x\n4:memory:/docker/x\n");
  put(root / "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  put(root / "sys/fs/cgroup/memory/memory.usage_in_bytes", "7\n");
  BOOST_TEST(io::available_memory(root.path()).value() == 5000U * 1024);
  put(root / "sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n");
  BOOST_TEST(io::available_memory(root.path()).value() == 993U);
}

BOOST_AUTO_TEST_CASE(masks_come_back_from_the_disk) {
  test::temporary_folder const folder;
  for (std::int32_t const columns : {1, 64, 65, 5000})
    for (std::int32_t const rows : {1, 3, 4000}) {
      io::mask_file file{folder.path(), rows, columns};
      auto const words = static_cast<std::size_t>((columns + 63) / 64);
      auto const word_of = [](std::int32_t row, std::size_t w) {
        return static_cast<std::uint64_t>(row) * 1'000'003U + w;
      };
      std::vector<std::uint64_t> row_words(words);
      for (std::int32_t row = 0; row < rows; ++row) {
        for (std::size_t w = 0; w < words; ++w) row_words[w] = word_of(row, w);
        file.add_row(row_words);
      }
      auto const mask = file.rows();
      std::size_t different = 0;
      for (int pass = 0; pass < 2; ++pass)
        for (std::int32_t row = 0; row < rows; ++row) {
          mask.read(row, row_words);
          for (std::size_t w = 0; w < words; ++w) different += row_words[w] != word_of(row, w);
        }
      BOOST_TEST(different == 0U);
      BOOST_TEST(folder.names().empty());
    }
}

BOOST_AUTO_TEST_SUITE_END()
