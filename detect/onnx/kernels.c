#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "abi.h"
#include "kernels.h"

typedef void *status; // NULL: done; else onnxruntime's own, which takes it back from a kernel

// call gives the function at a place of the interface as one of a type.
#define call(type, place) ((type)api[place])

static void *const *api;

static status refuse(const char *why) { return call(status(*)(int, const char *), ABI_CREATE_STATUS)(1, why); }

// What all operators have in common.
static const char *on_cpu(const abi_operator *op) { return (void)op, NULL; }
static int bytes(const abi_operator *op, size_t i) { return (void)op, (void)i, ABI_UINT8; }
static size_t one(const abi_operator *op) { return (void)op, 1; }
static size_t two(const abi_operator *op) { return (void)op, 2; }
static int required(const abi_operator *op, size_t i) { return (void)op, (void)i, 0; }
static int first_version(const abi_operator *op) { return (void)op, 1; }

#define OPERATOR(its_name, its_inputs, its_types) \
	.version = ABI_OPERATOR_VERSION, .name = its_name, .provider = on_cpu, .input_type = its_types, .inputs = its_inputs, \
	.output_type = bytes, .outputs = one, .input_kind = required, .output_kind = required, .input_memory = required, \
	.start_version = first_version, .end_version = first_version

static status data_of(void *value, void **data) { return call(status(*)(void *, void **), ABI_TENSOR_DATA)(value, data); }

static status input_of(void *context, size_t i, void **data, void **value) {
	status s = call(status(*)(const void *, size_t, const void **), ABI_INPUT)(context, i, (const void **)value);
	return s ? s : data_of(*value, data);
}

enum { MAX_RANK = 8 };

static status shape_of(const void *value, int64_t *dims, size_t *rank, size_t *n) {
	void *shape = NULL;
	status s = call(status(*)(const void *, void **), ABI_TENSOR_SHAPE)(value, &shape);
	if (s) return s;
	s = call(status(*)(const void *, size_t *), ABI_DIMENSIONS_COUNT)(shape, rank);
	if (!s && *rank > MAX_RANK) s = refuse("a tensor with more than 8 dimensions");
	if (!s) s = call(status(*)(const void *, int64_t *, size_t), ABI_DIMENSIONS)(shape, dims, *rank);
	if (!s) s = call(status(*)(const void *, size_t *), ABI_ELEMENT_COUNT)(shape, n);
	call(void (*)(void *), ABI_RELEASE_SHAPE)(shape);
	return s;
}

static status output_of(void *context, const int64_t *dims, size_t rank, void **data) {
	void *value = NULL;
	status s = call(status(*)(void *, size_t, const int64_t *, size_t, void **), ABI_OUTPUT)(context, 0, dims, rank, &value);
	return s ? s : data_of(value, data);
}

// Lookup and LookupChannels: x, tables -> y of the shape of x, which may be in its place. They have no state.
typedef struct {
	uint8_t *x, *tables, *y;
	size_t n, last; // bytes in all, and in the last dimension
} operands;

static status operands_of(void *context, operands *o) {
	void *value = NULL;
	int64_t dims[MAX_RANK];
	size_t rank = 0;
	status s = input_of(context, 1, (void **)&o->tables, &value);
	if (!s) s = input_of(context, 0, (void **)&o->x, &value);
	if (!s) s = shape_of(value, dims, &rank, &o->n);
	if (!s) s = output_of(context, dims, rank, (void **)&o->y);
	o->last = rank ? (size_t)dims[rank - 1] : 1;
	return s;
}

static const char *lookup_name(const abi_operator *op) { return (void)op, "Lookup"; }

static status lookup_compute(void *kernel, void *context) {
	operands o;
	status s = operands_of(context, &o);
	if (!s) lookup_bytes(o.x, o.tables, o.y, o.n);
	return (void)kernel, s;
}

static const char *channels_name(const abi_operator *op) { return (void)op, "LookupChannels"; }

static status channels_compute(void *kernel, void *context) {
	operands o;
	status s = operands_of(context, &o);
	if (!s && o.n) lookup_channels(o.x, o.tables, o.y, o.n / o.last, o.last);
	return (void)kernel, s;
}

// name_open names the sizes of a shape that are open until the network runs: the library would take them for numbers. No two have one
// name, or it would take them for equal, and lay tensors of different sizes over each other.
static status name_open(void *shape) {
	static atomic_uint last;
	size_t rank = 0;
	int64_t sizes[8];
	char text[8][16];
	const char *names[8];
	status s = call(status(*)(const void *, size_t *), ABI_DIMENSIONS_COUNT)(shape, &rank);
	if (s) return s;
	if (rank > 8) return refuse("a tensor of more than 8 dimensions");
	if ((s = call(status(*)(const void *, int64_t *, size_t), ABI_DIMENSIONS)(shape, sizes, rank))) return s;
	for (size_t i = 0; i < rank; i++) {
		text[i][0] = 0;
		if (sizes[i] < 0) snprintf(text[i], sizeof text[i], "open%u", atomic_fetch_add(&last, 1));
		names[i] = text[i];
	}
	return call(status(*)(void *, const char **, size_t), ABI_NAME_DIMENSIONS)(shape, names, rank);
}

// The output has the type and shape of the first input. Without this the optimiser leaves everything behind in a slower layout.
static status same_shape(const abi_operator *op, void *context) {
	void *shape = NULL; // the context's own
	status s = call(status(*)(const void *, size_t, void **), ABI_INFER_INPUT)(context, 0, &shape);
	if (!s) s = name_open(shape);
	return (void)op, s ? s : call(status(*)(const void *, size_t, const void *), ABI_INFER_OUTPUT)(context, 0, shape);
}

static status no_state(const abi_operator *op, const void *ort, const void *info, void **kernel) {
	(void)ort, (void)info;
	return *kernel = (void *)op, NULL;
}

static void no_end(void *kernel) { (void)kernel; }

static int first[1] = {0};
static size_t inplace(int **input, int **output) { return *input = first, *output = first, 1; }
static void release_inplace(int *input, int *output) { (void)input, (void)output; }

// Stem: x [N, channels, height, width], weights, parameters (factors, bias), geometry (kernel, strides, pads, outputs), table ->
// levels [N, height, width, outputs]. Its state is the buffer of packed rows.
typedef struct {
	uint8_t *buffer;
	size_t size;
} rows;

static const char *stem_name(const abi_operator *op) { return (void)op, "Stem"; }
static size_t five(const abi_operator *op) { return (void)op, 5; }

static int stem_types(const abi_operator *op, size_t i) {
	static const int types[] = {ABI_UINT8, ABI_INT8, ABI_FLOAT, ABI_INT64, ABI_UINT8};
	return (void)op, types[i];
}

static status stem_begin(const abi_operator *op, const void *ort, const void *info, void **kernel) {
	(void)op, (void)ort, (void)info;
	return (*kernel = calloc(1, sizeof(rows))) ? NULL : refuse("out of memory");
}

static void stem_end(void *kernel) {
	free(((rows *)kernel)->buffer);
	free(kernel);
}

static void stem_read(stem *s, const int64_t *dims, const int64_t *geometry, const float *parameters) {
	s->channels = (size_t)dims[1], s->height = (size_t)dims[2], s->width = (size_t)dims[3], s->outputs = (size_t)geometry[8];
	for (int i = 0; i < 2; i++) s->kernel[i] = (size_t)geometry[i], s->strides[i] = (size_t)geometry[2 + i];
	for (int i = 0; i < 4; i++) s->pads[i] = (size_t)geometry[4 + i];
	s->factors = parameters, s->bias = parameters + s->outputs;
}

// unless_same gives a table back if it changes anything.
static const uint8_t *unless_same(const uint8_t *table) {
	for (int i = 0; i < 256; i++) {
		if (table[i] != i) return table;
	}
	return NULL;
}

static status room_for(rows *r, size_t size) {
	if (r->size >= size) return NULL;
	free(r->buffer);
	r->buffer = malloc(size);
	r->size = r->buffer ? size : 0;
	return r->buffer ? NULL : refuse("out of memory");
}

static status stem_compute(void *kernel, void *context) {
	void *value = NULL;
	uint8_t *x = NULL, *table = NULL;
	float *parameters = NULL;
	int64_t *geometry = NULL, dims[MAX_RANK];
	uint8_t *y = NULL;
	size_t rank = 0, n = 0;
	stem s = {0};
	status failed = input_of(context, 4, (void **)&table, &value);
	if (!failed) failed = input_of(context, 3, (void **)&geometry, &value);
	if (!failed) failed = input_of(context, 2, (void **)&parameters, &value);
	if (!failed) failed = input_of(context, 1, (void **)&s.weights, &value);
	if (!failed) failed = input_of(context, 0, (void **)&x, &value);
	if (!failed) failed = shape_of(value, dims, &rank, &n);
	if (failed) return failed;
	stem_read(&s, dims, geometry, parameters);
	s.table = unless_same(table);
	if ((failed = room_for(kernel, stem_rows_bytes(&s)))) return failed;
	int64_t out[4] = {dims[0], (int64_t)stem_size(&s, 0), (int64_t)stem_size(&s, 1), (int64_t)s.outputs};
	if ((failed = output_of(context, out, 4, (void **)&y))) return failed;
	for (int64_t i = 0; i < dims[0]; i++) {
		stem_run(&s, x + i * dims[1] * dims[2] * dims[3], ((rows *)kernel)->buffer, y + i * out[1] * out[2] * out[3]);
	}
	return NULL;
}

#define TABLE_OPERATOR(its_name, its_compute) \
	{ \
		OPERATOR(its_name, two, bytes), .create_v2 = no_state, .destroy = no_end, .compute_v2 = its_compute, .infer_shape = same_shape, \
		.may_inplace = inplace, .release_inplace = release_inplace, \
	}

static const abi_operator operators[] = {
	TABLE_OPERATOR(lookup_name, lookup_compute),
	TABLE_OPERATOR(channels_name, channels_compute),
	{OPERATOR(stem_name, five, stem_types), .create_v2 = stem_begin, .destroy = stem_end, .compute_v2 = stem_compute},
};

// The domain lives as long as the process: sessions keep pointing to it.
static void *domain;

static const char *prepare(const char *path) {
	if (domain) return NULL;
	void *library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
	if (!library) return "the library is not loaded";
	const abi_base *(*base)(void) = (const abi_base *(*)(void))dlsym(library, "OrtGetApiBase");
	if (!base) return "the library has no OrtGetApiBase";
	api = base()->get_api(ABI_VERSION);
	if (!api) return "the library is too old";
	void *made = NULL;
	if (call(status(*)(const char *, void **), ABI_CREATE_DOMAIN)("sightline", &made)) return "the domain is refused";
	for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
		if (call(status(*)(void *, const abi_operator *), ABI_DOMAIN_ADD)(made, &operators[i])) return "an operator is refused";
	}
	domain = made;
	return NULL;
}

const char *kernels_add(const char *path, void *session_options) {
	const char *wrong = prepare(path);
	if (wrong) return wrong;
	return call(status(*)(void *, void *), ABI_ADD_DOMAIN)(session_options, domain) ? "the domain is refused" : NULL;
}
