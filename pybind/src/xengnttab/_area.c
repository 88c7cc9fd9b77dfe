/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Area: a range of memory as a Python buffer.
 *
 * Python code cannot export a buffer before 3.12 (PEP 688), and must know how
 * many views there are before it unmaps what they show.  So this type counts
 * them, and does not release the range while there is one, as mmap does.
 */
#include <Python.h>

#include <sys/types.h>

#include <unistd.h>

typedef struct {
	PyObject_HEAD char *start; /* NULL: released */
	Py_ssize_t length;
	Py_ssize_t views;
	int readonly;
	pid_t process; /* whose memory it is */
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
	area->process = getpid();
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

/*
 * True, with an exception set, in a forked child: the range might not be
 * mapped there, and the child must not end it.
 */
static int
inherited(const Area *area)
{
	if (area->process == getpid())
		return (0);
	PyErr_Format(PyExc_RuntimeError,
	    "the pages were made by process %ld: "
	    "after a fork only that process may use them",
	    (long)area->process);
	return (1);
}

/* True, with an exception set, when the range is gone. */
static int
released(const Area *area)
{
	if (area->start != NULL)
		return (inherited(area));
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

/* True, with an exception set, when the range cannot be released. */
static int
busy(const Area *area)
{
	if (area->start == NULL)
		return (0);
	if (inherited(area))
		return (1);
	if (area->views == 0)
		return (0);
	PyErr_Format(PyExc_BufferError,
	    "cannot close pages that %zd "
	    "exported view%s still show%s",
	    area->views, area->views == 1 ? "" : "s",
	    area->views == 1 ? "s" : "");
	return (1);
}

static PyObject *
area_release(PyObject *self, PyObject *unused)
{
	Area *area = (Area *)self;

	(void)unused;
	if (busy(area))
		return (NULL);
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
area_inherited(PyObject *self, void *unused)
{
	(void)unused;
	return (PyBool_FromLong(((Area *)self)->process != getpid()));
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
	{ "readonly", area_readonly, NULL, "True if views are read-only." },
	{ "inherited", area_inherited, NULL,
	    "True in a child that inherited the pages by fork." },
	{ "address", area_address, NULL, "Address of the first byte." },
	{ "views", area_views, NULL, "Number of exported views." }, { NULL } };

static PyMethodDef area_methods[] = {
	{ "_release", area_release, METH_NOARGS,
	    "Releases the range; BufferError while there are views." },
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

/*
 * All of them or none: nothing can make a view in between, because no Python
 * code runs here.
 */
static PyObject *
module_release(PyObject *module, PyObject *areas)
{
	PyObject *type;
	Py_ssize_t count, i;
	int good;

	type = PyObject_GetAttrString(module, "Area");
	if (type == NULL)
		return (NULL);
	good = PyList_Check(areas);
	count = good ? PyList_Size(areas) : 0;
	for (i = 0; good && i < count; i++)
		good = PyObject_TypeCheck(PyList_GetItem(areas, i),
		    (PyTypeObject *)type);
	Py_DECREF(type);
	if (!good) {
		PyErr_SetString(PyExc_TypeError, "not a list of areas");
		return (NULL);
	}
	for (i = 0; i < count; i++) {
		if (busy((Area *)PyList_GetItem(areas, i)))
			return (NULL);
	}
	for (i = 0; i < count; i++)
		((Area *)PyList_GetItem(areas, i))->start = NULL;
	Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
	{ "release", module_release, METH_O,
	    "Releases a list of areas: all or none." },
	{ NULL }
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
	.m_methods = module_methods,
	.m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__area(void)
{
	return (PyModuleDef_Init(&module_def));
}
