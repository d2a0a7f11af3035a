#pragma once

#include "tar_record.h"

namespace berth {

/// Into kRecordHeaderBytes at `block`.
void EncodeRecordHeader(const RecordSummary& summary, uint8_t* block);
/// False when it is no header of a complete record.
bool DecodeRecordHeader(const uint8_t* block, RecordSummary* summary);

}  // namespace berth
