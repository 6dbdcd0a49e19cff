#include "analysis/report/page.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <map>

#include "analysis/report/model_name.hpp"
#include "analysis/report/payload.hpp"
#include "common/error.hpp"

namespace shardrift::report {
namespace {

// What a Content-Security-Policy calls this script: nothing else on the page may run, whatever a file says.
std::string policy_hash(std::string_view script) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(script.data(), script.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
    throw failure("report: SHA-256 failed");
  std::array<unsigned char, std::size_t{2} * EVP_MAX_MD_SIZE> text{};
  const int length = EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(size));
  return fmt::format("'sha256-{}'", std::string(text.begin(), text.begin() + length));
}

// Replaces each {{name}} of the template once, left to right; what is put in is never looked at again.
std::string filled(std::string_view text, const std::map<std::string, std::string>& values) {
  std::string out;
  for (;;) {
    const auto begin = text.find("{{");
    if (begin == std::string_view::npos) return out += text;
    const auto end = text.find("}}", begin);
    out += text.substr(0, begin);
    out += values.at(std::string(text.substr(begin + 2, end - begin - 2)));
    text.remove_prefix(end + 2);
  }
}

std::string title_of(const Report& report) {
  if (!report.title.empty()) return report.title;
  if (report.runs.empty()) return "shardrift report";
  const auto candidates = static_cast<std::size_t>(std::count_if(
      report.runs.begin(), report.runs.end(), [](const Run& run) { return run.role == Role::candidate; }));
  return fmt::format("{} against “{}”: does the model say the same?",
                     candidates == 1 ? report.runs.front().measurement.candidate.name
                                     : fmt::format("{} candidates", candidates),
                     report.runs.front().measurement.reference.name);
}

std::string model_line(const Report& report) {
  return report.runs.empty() ? "" : model_name(report.runs.front().measurement.reference.run);
}

}  // namespace

std::string html_escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string script_escaped(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (const char c : json) {
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  }
  return out;
}

std::string to_html(const Report& report) {
  Json payload = payload_of(report);
  payload["title"] = title_of(report);
  // Strings from files may be any bytes: what is no UTF-8 becomes U+FFFD.
  const auto data = payload.dump(-1, ' ', false, Json::error_handler_t::replace);
  const std::string page_js = "(() => {\n" + std::string(embedded::page_js) + "})();\n";
  const std::string d3_js(embedded::d3_js);
  return filled(embedded::template_html, {{"title", html_escaped(title_of(report))},
                                          {"scripts", policy_hash(d3_js) + " " + policy_hash(page_js)},
                                          {"style", std::string(embedded::style_css)},
                                          {"answer", answer_html(report)},
                                          {"model", html_escaped(model_line(report))},
                                          {"licence", html_escaped(embedded::d3_licence)},
                                          {"data", script_escaped(data)},
                                          {"d3", d3_js},
                                          {"page", page_js}});
}

}  // namespace shardrift::report
