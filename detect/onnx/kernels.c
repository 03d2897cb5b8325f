#include <dlfcn.h>

#include "abi.h"
#include "kernels.h"

typedef void *status; // NULL: done; else onnxruntime's own, which it frees itself once a kernel has returned it

// call gives the function at a place of the interface as one of a type.
#define call(type, place) ((type)api[place])

static void *const *api;

static const char *domain_name = "sightline";

static const char *lookup_name(const abi_operator *op) { return (void)op, "Lookup"; }
static const char *on_cpu(const abi_operator *op) { return (void)op, NULL; }
static int bytes(const abi_operator *op, size_t i) { return (void)op, (void)i, ABI_UINT8; }
static size_t two(const abi_operator *op) { return (void)op, 2; }
static size_t one(const abi_operator *op) { return (void)op, 1; }
static int required(const abi_operator *op, size_t i) { return (void)op, (void)i, 0; }
static int first_version(const abi_operator *op) { return (void)op, 1; }

static status create(const abi_operator *op, const void *ort, const void *info, void **kernel) {
	(void)ort, (void)info;
	*kernel = (void *)op; // it has no state
	return NULL;
}

static void destroy(void *kernel) { (void)kernel; }

// The output may take the place of the first input.
static int first[1] = {0};
static size_t inplace(int **input, int **output) { return *input = first, *output = first, 1; }
static void release_inplace(int *input, int *output) { (void)input, (void)output; }

static status input_of(void *context, size_t i, const uint8_t **data, void **value) {
	status s = call(status(*)(const void *, size_t, const void **), ABI_INPUT)(context, i, (const void **)value);
	return s ? s : call(status(*)(void *, void **), ABI_TENSOR_DATA)(*value, (void **)data);
}

enum { MAX_RANK = 8 };

static status shape_of(const void *value, int64_t *dims, size_t *rank, size_t *n) {
	void *shape = NULL;
	status s = call(status(*)(const void *, void **), ABI_TENSOR_SHAPE)(value, &shape);
	if (s) return s;
	s = call(status(*)(const void *, size_t *), ABI_DIMENSIONS_COUNT)(shape, rank);
	if (!s) s = call(status(*)(const void *, int64_t *, size_t), ABI_DIMENSIONS)(shape, dims, *rank < MAX_RANK ? *rank : MAX_RANK);
	if (!s) s = call(status(*)(const void *, size_t *), ABI_ELEMENT_COUNT)(shape, n);
	call(void (*)(void *), ABI_RELEASE_SHAPE)(shape);
	return s;
}

static status compute(void *kernel, void *context) {
	(void)kernel;
	const uint8_t *x = NULL, *table = NULL;
	uint8_t *y = NULL;
	void *value = NULL, *out = NULL;
	int64_t dims[MAX_RANK];
	size_t rank = 0, n = 0;
	status s = input_of(context, 1, &table, &value);
	if (!s) s = input_of(context, 0, &x, &value);
	if (!s) s = shape_of(value, dims, &rank, &n);
	if (!s) s = call(status(*)(void *, size_t, const int64_t *, size_t, void **), ABI_OUTPUT)(context, 0, dims, rank, &out);
	if (!s) s = call(status(*)(void *, void **), ABI_TENSOR_DATA)(out, (void **)&y);
	if (!s) lookup_bytes(x, table, y, n);
	return s;
}

static const abi_operator lookup = {
	.version = ABI_OPERATOR_VERSION, .name = lookup_name, .provider = on_cpu, .input_type = bytes, .inputs = two,
	.output_type = bytes, .outputs = one, .destroy = destroy, .input_kind = required, .output_kind = required,
	.input_memory = required, .create_v2 = create, .compute_v2 = compute, .start_version = first_version,
	.end_version = first_version, .may_inplace = inplace, .release_inplace = release_inplace,
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
	if (call(status(*)(const char *, void **), ABI_CREATE_DOMAIN)(domain_name, &made)) return "the domain is refused";
	if (call(status(*)(void *, const abi_operator *), ABI_DOMAIN_ADD)(made, &lookup)) return "the operator is refused";
	domain = made;
	return NULL;
}

const char *kernels_add(const char *path, void *session_options) {
	const char *wrong = prepare(path);
	if (wrong) return wrong;
	return call(status(*)(void *, void *), ABI_ADD_DOMAIN)(session_options, domain) ? "the domain is refused" : NULL;
}
