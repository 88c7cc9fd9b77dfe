/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Area: a range of memory as a Python buffer.
 *
 * Python code cannot export a buffer before 3.12 (PEP 688), and must know how
 * many views there are before it unmaps what they show.  So this type counts
 * them, and refuses to let go of the range while there is one, as mmap does.
 */
#include <Python.h>

typedef struct {
	PyObject_HEAD char *start; /* NULL: released */
	Py_ssize_t length;
	Py_ssize_t views;
	int readonly;
} Area;

static PyObject *
area_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "address", "length", "readonly", NULL };
	PyObject *address;
	Py_ssize_t length;
	int readonly;
	void *start;
	allocfunc alloc;
	Area *area;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Onp:Area", names,
		&address, &length, &readonly))
		return (NULL);
	start = PyLong_AsVoidPtr(address);
	if (start == NULL && PyErr_Occurred())
		return (NULL);
	if (start == NULL || length <= 0) {
		PyErr_SetString(PyExc_ValueError,
		    "an area needs an address "
		    "and a length");
		return (NULL);
	}
	alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	area = (Area *)alloc(type, 0);
	if (area == NULL)
		return (NULL);
	area->start = start;
	area->length = length;
	area->views = 0;
	area->readonly = readonly;
	return ((PyObject *)area);
}

static void
area_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	release(self);
	Py_DECREF(type);
}

/* True, with an exception set, when the range is gone. */
static int
released(const Area *area)
{
	if (area->start != NULL)
		return (0);
	PyErr_SetString(PyExc_ValueError, "the pages are closed");
	return (1);
}

static int
area_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
	Area *area = (Area *)self;

	if (released(area)) {
		view->obj = NULL;
		return (-1);
	}
	if (PyBuffer_FillInfo(view, self, area->start, area->length,
		area->readonly, flags) != 0)
		return (-1);
	area->views++;
	return (0);
}

static void
area_releasebuffer(PyObject *self, Py_buffer *view)
{
	(void)view;
	((Area *)self)->views--;
}

static Py_ssize_t
area_length(PyObject *self)
{
	Area *area = (Area *)self;

	return (released(area) ? -1 : area->length);
}

static PyObject *
area_release(PyObject *self, PyObject *unused)
{
	Area *area = (Area *)self;

	(void)unused;
	if (area->views > 0) {
		PyErr_Format(PyExc_BufferError,
		    "cannot close pages that %zd "
		    "exported view%s still show%s",
		    area->views, area->views == 1 ? "" : "s",
		    area->views == 1 ? "s" : "");
		return (NULL);
	}
	area->start = NULL;
	Py_RETURN_NONE;
}

static PyObject *
area_closed(PyObject *self, void *unused)
{
	(void)unused;
	return (PyBool_FromLong(((Area *)self)->start == NULL));
}

static PyObject *
area_readonly(PyObject *self, void *unused)
{
	(void)unused;
	return (PyBool_FromLong(((Area *)self)->readonly));
}

static PyObject *
area_address(PyObject *self, void *unused)
{
	Area *area = (Area *)self;

	(void)unused;
	return (released(area) ? NULL : PyLong_FromVoidPtr(area->start));
}

static PyObject *
area_views(PyObject *self, void *unused)
{
	(void)unused;
	return (PyLong_FromSsize_t(((Area *)self)->views));
}

static PyGetSetDef area_getset[] = { { "closed", area_closed, NULL,
					 "True after the pages were closed." },
	{ "readonly", area_readonly, NULL, "True when views cannot write." },
	{ "address", area_address, NULL, "Address of the first byte." },
	{ "views", area_views, NULL, "Number of exported views." }, { NULL } };

static PyMethodDef area_methods[] = {
	{ "_release", area_release, METH_NOARGS,
	    "Lets go of the range; BufferError while there are views." },
	{ NULL }
};

static PyType_Slot area_slots[] = {
	{ Py_tp_doc, "Area(address, length, readonly): memory as a buffer." },
	{ Py_tp_new, area_new }, { Py_tp_dealloc, area_dealloc },
	{ Py_tp_getset, area_getset }, { Py_tp_methods, area_methods },
	{ Py_sq_length, area_length }, { Py_bf_getbuffer, area_getbuffer },
	{ Py_bf_releasebuffer, area_releasebuffer }, { 0 }
};

static PyType_Spec area_spec = {
	.name = "xengnttab._area.Area",
	.basicsize = sizeof(Area),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = area_slots,
};

static int
module_exec(PyObject *module)
{
	PyObject *type;
	int rc;

	type = PyType_FromSpec(&area_spec);
	if (type == NULL)
		return (-1);
	rc = PyModule_AddObjectRef(module, "Area", type);
	Py_DECREF(type);
	return (rc);
}

static PyModuleDef_Slot module_slots[] = { { Py_mod_exec, module_exec },
	{ 0 } };

static struct PyModuleDef module_def = {
	PyModuleDef_HEAD_INIT,
	.m_name = "xengnttab._area",
	.m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__area(void)
{
	return (PyModuleDef_Init(&module_def));
}
