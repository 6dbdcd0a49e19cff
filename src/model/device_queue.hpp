// What an asynchronous device offers the host beside its operations: to know that it is done with what was
// enqueued so far, and to enqueue a whole pass again as one.
#pragma once

namespace shardrift {

// A point in the queue of a device.
class DeviceEvent {
 public:
  virtual ~DeviceEvent() = default;
  virtual void record() {}  // here: after all that is enqueued so far
  virtual void wait() {}    // until the device has come to where it was recorded last
};

// Work whose kernels, addresses and sizes were captured.
class CapturedWork {
 public:
  virtual ~CapturedWork() = default;
  virtual void launch() = 0;  // enqueued like any operation
};

}  // namespace shardrift
