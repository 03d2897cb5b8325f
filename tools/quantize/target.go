package quantize

// ARM64 is for 64-bit ARM. Its arithmetic does not saturate, and onnxruntime takes the same uint8 activations and int8 weights there:
// the file is that of CPU.
const ARM64 = "arm64"
