// The page around the data: template, style, scripts and licences, embedded at build time from page/.
#pragma once
#include <string>
#include <string_view>

#include "analysis/report/report.hpp"

namespace shardrift::report {

// Text for HTML content and quoted attributes: & < > " ' become entities.
std::string html_escaped(std::string_view text);

// The first section; empty without a verdict.
std::string answer_html(const Report& report);

// JSON that may stand inside <script>: "<" only as \u003c, so no data can end the element or open a comment.
std::string script_escaped(std::string_view json);

// The files of page/, and D3; generated (cmake/Embed.cmake).
namespace embedded {
extern const std::string_view template_html;
extern const std::string_view style_css;
extern const std::string_view page_js;
extern const std::string_view d3_js;
extern const std::string_view d3_licence;
}  // namespace embedded

}  // namespace shardrift::report
