// The part of onnxruntime's C interface that operators of our own need and the Go binding does not give. The interface only ever
// grows at its end, so places in it hold for every later release; a test holds them against the binding's own copy of the header.
#ifndef SIGHTLINE_ABI_H
#define SIGHTLINE_ABI_H

#include <stddef.h>
#include <stdint.h>

// The release (1.x) whose interface is asked for, and the one whose form of operators is given.
enum { ABI_VERSION = 24, ABI_OPERATOR_VERSION = 18 };

// Functions by their place in the interface.
enum {
	ABI_CREATE_STATUS = 0,
	ABI_CREATE_DOMAIN = 26,
	ABI_DOMAIN_ADD = 27,
	ABI_ADD_DOMAIN = 28,
	ABI_TENSOR_DATA = 51,
	ABI_DIMENSIONS_COUNT = 61,
	ABI_DIMENSIONS = 62,
	ABI_ELEMENT_COUNT = 64,
	ABI_TENSOR_SHAPE = 65,
	ABI_INPUT = 90,
	ABI_OUTPUT = 91,
	ABI_RELEASE_SHAPE = 99,
	ABI_INFER_INPUT = 268,
	ABI_INFER_OUTPUT = 270,
	ABI_NAME_DIMENSIONS = 271,
};

enum { ABI_FLOAT = 1, ABI_UINT8 = 2, ABI_INT8 = 3, ABI_INT64 = 7 }; // element types

typedef struct {
	const void *(*get_api)(uint32_t version);
	const char *(*get_version)(void);
} abi_base;

// A description of an operator, in the form of ABI_OPERATOR_VERSION. What is not named stays NULL.
typedef struct abi_operator {
	uint32_t version;
	void *create; // replaced by create_v2
	const char *(*name)(const struct abi_operator *);
	const char *(*provider)(const struct abi_operator *);
	int (*input_type)(const struct abi_operator *, size_t);
	size_t (*inputs)(const struct abi_operator *);
	int (*output_type)(const struct abi_operator *, size_t);
	size_t (*outputs)(const struct abi_operator *);
	void *compute; // replaced by compute_v2
	void (*destroy)(void *kernel);
	int (*input_kind)(const struct abi_operator *, size_t);
	int (*output_kind)(const struct abi_operator *, size_t);
	int (*input_memory)(const struct abi_operator *, size_t);
	void *variadic[4];
	void *(*create_v2)(const struct abi_operator *, const void *api, const void *info, void **kernel);
	void *(*compute_v2)(void *kernel, void *context);
	void *(*infer_shape)(const struct abi_operator *, void *context);
	int (*start_version)(const struct abi_operator *);
	int (*end_version)(const struct abi_operator *);
	size_t (*may_inplace)(int **input, int **output);
	void (*release_inplace)(int *input, int *output);
	void *alias[2];
} abi_operator;

#endif
