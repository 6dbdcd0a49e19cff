// Keys of limits in a verdict's sentences, as people say them: "the limit on kl_mean" is "the limit on mean KL".
#pragma once
#include <string>
#include <string_view>

namespace shardrift::report {

// Keys that are words already (flips, yardstick) stay, and so do keys inside other words or file names.
std::string in_words(std::string_view text);
// Of HTML: with the key as a tooltip.
std::string in_words_html(std::string_view html);

}  // namespace shardrift::report
