// gate --certificate and gate --verify: the files behind a verdict.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "analysis/verdict/certificate.hpp"
#include "cli/evidence_flags.hpp"

namespace shardrift::cli {

using verdict::EvidentFiles;

// Every record that is judged by, hashed.
EvidentFiles hashed(const EvidenceFlags& flags);

// The given files in the roles that the certificate has them in, in its order, found by their hashes: names
// and order are no matter. Throws bad_data where one of the certificate's is not among them, or one of them
// is not in it.
EvidentFiles in_their_roles(const verdict::Certificate& certificate, const EvidenceFlags& given);
EvidenceFlags flags_of(const EvidentFiles& files);
// Throws failure where one has changed since it was hashed: then it is not what was judged.
void require_unchanged(const EvidentFiles& files);

}  // namespace shardrift::cli
