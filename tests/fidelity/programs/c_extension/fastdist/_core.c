#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *squared(PyObject *self, PyObject *args) {
    double a, b;
    if (!PyArg_ParseTuple(args, "dd", &a, &b)) return NULL;
    return PyFloat_FromDouble((a - b) * (a - b));
}

static PyMethodDef methods[] = {{"squared", squared, METH_VARARGS, "Squared distance."}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_core", NULL, -1, methods};
PyMODINIT_FUNC PyInit__core(void) { return PyModule_Create(&module); }
