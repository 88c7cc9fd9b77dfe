/* SPDX-License-Identifier: BSD-2-Clause */
/* Device nodes, open files and what hangs on them. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/conf.h>
#include <sys/file.h>
#include <sys/filio.h>
#include <sys/queue.h>
#include <sys/refcount.h>
#include <sys/uio.h>
#include <sys/vnode.h>

#include "kpi.h"

static struct {
	volatile u_int	spin;
	LIST_HEAD(, cdev) nodes;
	TAILQ_HEAD(, file) files;	/* in the order of their opens */
	u_int		nnodes;
	u_int		nfiles;
} devfs = { .files = TAILQ_HEAD_INITIALIZER(devfs.files) };

struct mtx kpi_vnode_interlock;

void
kpi_devfs_init(void)
{

	if (!mtx_initialized(&kpi_vnode_interlock))
		mtx_init(&kpi_vnode_interlock, "vnode interlock", NULL,
		    MTX_DEF);
}

static void
devfs_lock(void)
{

	while (atomic_cmpset_int(&devfs.spin, 0, 1) == 0)
		os_yield();
}

static void
devfs_unlock(void)
{

	atomic_store_rel_int(&devfs.spin, 0);
}

u_int
kpi_files_live(void)
{

	return (devfs.nfiles);
}

u_int
kpi_nodes_live(void)
{

	return (devfs.nnodes);
}

/* Nodes. */

void
make_dev_args_init_impl(struct make_dev_args *args, size_t size)
{

	memset(args, 0, size);
	args->mda_size = size;
}

static struct cdev *
node_find(const char *name)
{
	struct cdev *dev;

	LIST_FOREACH(dev, &devfs.nodes, si_link)
		if (strcmp(dev->si_name, name) == 0)
			return (dev);
	return (NULL);
}

static void
node_rele(struct cdev *dev)
{
	bool last;

	devfs_lock();
	last = --dev->si_refs == 0;
	devfs_unlock();
	if (last)
		os_free(dev);
}

int
make_dev_s(struct make_dev_args *args, struct cdev **devp, const char *fmt,
    ...)
{
	struct cdev *dev;
	va_list ap;
	bool taken;

	if ((args->mda_flags & MAKEDEV_NOWAIT) == 0)
		kpi_no_sleep("make_dev_s");
	KASSERT(args->mda_devsw->d_version == D_VERSION,
	    ("make_dev_s: d_version of %s", args->mda_devsw->d_name));
	KASSERT((args->mda_flags & MAKEDEV_ETERNAL) == 0,
	    ("make_dev_s: an eternal node in a module"));
	dev = os_alloc(sizeof(*dev));
	KASSERT(dev != NULL, ("no memory for a node"));
	va_start(ap, fmt);
	__builtin_vsnprintf(dev->si_name, sizeof(dev->si_name), fmt, ap);
	va_end(ap);
	dev->si_devsw = args->mda_devsw;
	dev->si_drv1 = args->mda_si_drv1;
	dev->si_mode = (mode_t)args->mda_mode;
	dev->si_uid = args->mda_uid;
	dev->si_gid = args->mda_gid;
	dev->si_refs = 1;
	devfs_lock();
	taken = node_find(dev->si_name) != NULL;
	if (!taken) {
		LIST_INSERT_HEAD(&devfs.nodes, dev, si_link);
		devfs.nnodes++;
	}
	devfs_unlock();
	if (taken) {
		KASSERT((args->mda_flags & MAKEDEV_CHECKNAME) != 0,
		    ("make_dev_s: %s exists", dev->si_name));
		os_free(dev);
		return (EEXIST);
	}
	*devp = dev;
	return (0);
}

/* Keeps the node and the driver's code; false if it is being destroyed. */
static bool
node_enter(struct cdev *dev)
{
	bool ok;

	devfs_lock();
	ok = !dev->si_gone;
	if (ok)
		dev->si_threads++;
	devfs_unlock();
	return (ok);
}

static void
node_leave(struct cdev *dev)
{

	devfs_lock();
	dev->si_threads--;
	devfs_unlock();
}

static void
priv_destroy(struct file *fp)
{
	d_priv_dtor_t *dtor;
	void *priv;

	devfs_lock();
	dtor = fp->f_dtor;
	priv = fp->f_priv;
	fp->f_dtor = NULL;
	fp->f_priv = NULL;
	devfs_unlock();
	if (dtor != NULL)
		dtor(priv);
}

void
destroy_dev(struct cdev *dev)
{
	struct file *fp;

	kpi_no_sleep("destroy_dev");
	devfs_lock();
	dev->si_gone = true;
	TAILQ_FOREACH(fp, &devfs.files, f_link) {
		if (fp->f_cdev != dev)
			continue;
		VI_LOCK(fp->f_vnode);
		fp->f_vnode->v_rdev = NULL;
		VI_UNLOCK(fp->f_vnode);
	}
	LIST_REMOVE(dev, si_link);
	devfs.nnodes--;
	while (dev->si_threads != 0) {
		devfs_unlock();
		os_yield();
		devfs_lock();
	}
	for (;;) {
		TAILQ_FOREACH(fp, &devfs.files, f_link)
			if (fp->f_cdev == dev && fp->f_dtor != NULL)
				break;
		if (fp == NULL)
			break;
		devfs_unlock();
		priv_destroy(fp);
		devfs_lock();
	}
	devfs_unlock();
	node_rele(dev);
}

bool
harness_node_exists(const char *name)
{
	bool found;

	if (harness_load() != 0)
		return (false);
	kpi_enter();
	devfs_lock();
	found = node_find(name) != NULL;
	devfs_unlock();
	kpi_leave("a look-up returned");
	return (found);
}

/* cdevpriv, for the file of the current operation. */

int
devfs_set_cdevpriv(void *priv, d_priv_dtor_t *dtor)
{
	struct file *fp;
	int error;

	fp = curthread->td_fpop;
	if (fp == NULL)
		return (ENOENT);
	if (xengnt_harness_fail(HARNESS_FAIL_CDEVPRIV))
		return (ENOMEM);
	KASSERT(dtor != NULL, ("devfs_set_cdevpriv without a destructor"));
	devfs_lock();
	error = fp->f_dtor != NULL ? EBUSY : 0;
	if (error == 0) {
		fp->f_priv = priv;
		fp->f_dtor = dtor;
	}
	devfs_unlock();
	return (error);
}

int
devfs_get_cdevpriv(void **priv)
{
	struct file *fp;

	fp = curthread->td_fpop;
	if (fp == NULL)
		return (EBADF);
	*priv = fp->f_priv;
	return (fp->f_dtor == NULL ? ENOENT : 0);
}

static void
devfs_clear_cdevpriv(void)
{

	if (curthread->td_fpop != NULL)
		priv_destroy(curthread->td_fpop);
}

/* System calls. */

static int
op_begin(struct file *fp)
{

	kpi_enter();
	if (!node_enter(fp->f_cdev)) {
		kpi_leave("the node is gone");
		return (ENXIO);
	}
	curthread->td_fpop = fp;
	return (0);
}

static void
op_end(struct file *fp, const char *what)
{

	curthread->td_fpop = NULL;
	node_leave(fp->f_cdev);
	kpi_leave(what);
}

int
harness_open(const char *name, int fflags, struct file **fpp)
{
	struct file *fp;
	struct cdev *dev;
	int error;

	error = harness_load();
	if (error != 0)
		return (error);
	kpi_enter();
	devfs_lock();
	dev = node_find(name);
	if (dev != NULL)
		dev->si_refs++;
	devfs_unlock();
	if (dev == NULL) {
		kpi_leave("open returned");
		return (ENOENT);
	}
	fp = os_alloc(sizeof(*fp));
	KASSERT(fp != NULL, ("no memory for a file"));
	fp->f_vnode = os_alloc(sizeof(*fp->f_vnode));
	KASSERT(fp->f_vnode != NULL, ("no memory for a vnode"));
	fp->f_vnode->v_type = VCHR;
	fp->f_vnode->v_rdev = dev;
	fp->f_type = DTYPE_VNODE;
	fp->f_cdev = dev;
	fp->f_flag = (u_int)fflags & (FREAD | FWRITE);
	fp->f_count = 1;
	devfs_lock();
	TAILQ_INSERT_TAIL(&devfs.files, fp, f_link);
	devfs.nfiles++;
	devfs_unlock();
	kpi_leave("open goes on");
	error = op_begin(fp);
	if (error == 0) {
		if (dev->si_devsw->d_open != NULL)
			error = dev->si_devsw->d_open(dev, (int)fp->f_flag,
			    0020000, curthread);
		if (error != 0)
			devfs_clear_cdevpriv();
		op_end(fp, "d_open returned");
	}
	if (error != 0) {
		harness_close(fp);
		return (error);
	}
	*fpp = fp;
	return (0);
}

void
harness_hold(struct file *fp)
{

	refcount_acquire(&fp->f_count);
}

void
harness_close(struct file *fp)
{

	kpi_enter();
	if (!refcount_release(&fp->f_count)) {
		kpi_leave("a close returned");
		return;
	}
	priv_destroy(fp);
	kpi_no_locks("a cdevpriv destructor returned");
	devfs_lock();
	TAILQ_REMOVE(&devfs.files, fp, f_link);
	devfs.nfiles--;
	devfs_unlock();
	node_rele(fp->f_cdev);
	kpi_leave("a close returned");
	os_free(fp->f_vnode);
	os_free(fp);
}

/* Whoever holds them: a forked child drops what it inherited. */
void
kpi_files_close_all(void)
{
	struct file *fp;

	while ((fp = TAILQ_FIRST(&devfs.files)) != NULL) {
		fp->f_count = 1;
		harness_close(fp);
	}
}

bool
harness_file_is(const struct file *fp, const char *name)
{
	bool same;

	kpi_enter();
	same = strcmp(fp->f_cdev->si_name, name) == 0;
	kpi_leave("a look-up returned");
	return (same);
}

/* devfs_ioctl(): data is in the kernel. */
int
fo_ioctl(struct file *fp, u_long cmd, void *data, struct ucred *cred,
    struct thread *td)
{
	struct cdevsw *devsw;
	int error;

	KASSERT(td == curthread && cred == td->td_ucred,
	    ("fo_ioctl: for another thread"));
	if (fp->f_type != DTYPE_VNODE)
		return (ENOTTY);
	error = op_begin(fp);
	if (error != 0)
		return (error);
	devsw = fp->f_cdev->si_devsw;
	error = devsw->d_ioctl == NULL ? ENODEV : devsw->d_ioctl(fp->f_cdev,
	    cmd, data, (int)fp->f_flag, td);
	op_end(fp, "d_ioctl returned");
	return (error == ENOIOCTL ? ENOTTY : error);
}

/* The part of an ioctl(2) that reaches the driver, as in sys_ioctl(). */
int
harness_ioctl(struct file *fp, unsigned long cmd, uintptr_t arg)
{
	char data[IOCPARM_MASK + 1] __aligned(8);
	u_int size;
	int error;

	cmd &= 0xffffffffu;
	size = IOCPARM_LEN(cmd);
	if ((cmd & IOC_DIRMASK) == 0 ||
	    ((cmd & (IOC_IN | IOC_OUT)) != 0 && size == 0) ||
	    ((cmd & IOC_VOID) != 0 && size != 0 && size != sizeof(int)))
		return (ENOTTY);
	if ((fp->f_flag & (FREAD | FWRITE)) == 0)
		return (EBADF);
	if ((cmd & IOC_VOID) != 0) {
		/* The driver gets the kernel's copy of the argument slot. */
		if (size == sizeof(int))
			*(int *)data = (int)arg;
		else
			*(uintptr_t *)data = arg;
	} else if ((cmd & IOC_IN) != 0) {
		error = copyin((void *)arg, data, size);
		if (error != 0)
			return (error);
	} else
		memset(data, 0, size);
	error = fo_ioctl(fp, cmd, data, curthread->td_ucred, curthread);
	if (error == 0 && (cmd & IOC_OUT) != 0)
		error = copyout(data, (void *)arg, size);
	return (error);
}

static int
file_rw(struct file *fp, void *buf, size_t len, size_t *done, bool write)
{
	struct cdevsw *devsw;
	struct uio uio;
	int error;

	*done = 0;
	if ((fp->f_flag & (write ? FWRITE : FREAD)) == 0)
		return (EBADF);
	error = op_begin(fp);
	if (error != 0)
		return (error);
	devsw = fp->f_cdev->si_devsw;
	uio.uio_resid = (ssize_t)len;
	uio.uio_rw = write ? UIO_WRITE : UIO_READ;
	uio.kpi_user = buf;
	if (write)
		error = devsw->d_write == NULL ? ENODEV :
		    devsw->d_write(fp->f_cdev, &uio, 0);
	else
		error = devsw->d_read == NULL ? ENODEV :
		    devsw->d_read(fp->f_cdev, &uio, 0);
	op_end(fp, write ? "d_write returned" : "d_read returned");
	*done = len - (size_t)uio.uio_resid;
	/* As in dofileread(): a partial transfer counts. */
	return (*done != 0 && error == EAGAIN ? 0 : error);
}

int
harness_read(struct file *fp, void *buf, size_t len, size_t *done)
{

	return (file_rw(fp, buf, len, done, false));
}

int
harness_write(struct file *fp, const void *buf, size_t len, size_t *done)
{

	return (file_rw(fp, __DECONST(void *, buf), len, done, true));
}

/* mmap(2) down to the driver, as in kern_mmap() and devfs_mmap_f(). */

static int
mmap_check(size_t len, int prot, int flags)
{

	if (len == 0)
		return (EINVAL);
	if ((prot &
		~(HARNESS_PROT_READ | HARNESS_PROT_WRITE |
		    HARNESS_PROT_EXEC)) != 0)
		return (EINVAL);
	if ((flags &
		~(HARNESS_MAP_SHARED | HARNESS_MAP_PRIVATE | HARNESS_MAP_FIXED |
		    HARNESS_MAP_NOSYNC | HARNESS_MAP_EXCL |
		    HARNESS_MAP_32BIT)) != 0)
		return (EINVAL);
	if ((flags & (HARNESS_MAP_EXCL | HARNESS_MAP_FIXED)) ==
	    HARNESS_MAP_EXCL)
		return (EINVAL);
	if ((flags & (HARNESS_MAP_SHARED | HARNESS_MAP_PRIVATE)) ==
	    (HARNESS_MAP_SHARED | HARNESS_MAP_PRIVATE))
		return (EINVAL);
	return (0);
}

static bool
map_range_valid(vm_offset_t start, vm_offset_t end)
{

	return (end >= start && start >= PAGE_SIZE &&
	    end <= VM_MAXUSER_ADDRESS);
}

/* vm_mmap_cdev and the driver's d_mmap_single. */
static int
mmap_cdev(struct file *fp, vm_size_t size, int prot, vm_prot_t maxprot,
    int flags, vm_ooffset_t *foff, vm_object_t *object)
{
	struct cdevsw *devsw;
	int error;

	if ((maxprot & VM_PROT_WRITE) == 0 && (prot & VM_PROT_WRITE) != 0)
		return (EACCES);
	if ((flags & HARNESS_MAP_PRIVATE) != 0)
		return (EINVAL);		/* row K2 */
	devsw = fp->f_cdev->si_devsw;
	*object = NULL;
	error = op_begin(fp);
	if (error != 0)
		return (error);
	error = devsw->d_mmap_single == NULL ? ENODEV :
	    devsw->d_mmap_single(fp->f_cdev, foff, size, object, prot);
	op_end(fp, "d_mmap_single returned");
	KASSERT(devsw->d_mmap_single == NULL || error != ENODEV,
	    ("d_mmap_single returned ENODEV: the kernel would try d_mmap"));
	KASSERT(error != 0 || *object != NULL,
	    ("d_mmap_single returned no object"));
	return (error);
}

int
harness_mmap(struct file *fp, void *hint, size_t len, int prot, int flags,
    int64_t pos, void **addrp)
{
	vm_offset_t addr;
	vm_size_t pageoff, size;
	vm_object_t object;
	vm_ooffset_t foff;
	vm_prot_t maxprot;
	int error;

	error = mmap_check(len, prot, flags);
	if (error != 0)
		return (error);
	addr = (vm_offset_t)hint;
	/* An unaligned offset is rounded down (row K3). */
	pageoff = (vm_size_t)pos & PAGE_MASK;
	foff = pos - (int64_t)pageoff;
	size = round_page(len + pageoff);
	if (len > size)
		return (ENOMEM);
	if ((flags & HARNESS_MAP_FIXED) != 0) {
		addr -= pageoff;
		if ((addr & PAGE_MASK) != 0 ||
		    !map_range_valid(addr, addr + size))
			return (EINVAL);
	} else
		addr = round_page(addr);
	if ((flags & (HARNESS_MAP_SHARED | HARNESS_MAP_PRIVATE)) == 0)
		return (EINVAL);		/* row K6 */

	/* devfs_mmap_f: what the descriptor allows. */
	maxprot = VM_PROT_EXECUTE;
	if ((fp->f_flag & FREAD) != 0)
		maxprot |= VM_PROT_READ;
	else if ((prot & VM_PROT_READ) != 0)
		return (EACCES);
	if ((flags & HARNESS_MAP_SHARED) != 0) {
		if ((fp->f_flag & FWRITE) != 0)
			maxprot |= VM_PROT_WRITE;
		else if ((prot & VM_PROT_WRITE) != 0)
			return (EACCES);
	}
	/* In one step: nobody may see the object between the two. */
	kpi_enter();
	error = mmap_cdev(fp, size, prot, maxprot, flags, &foff, &object);
	if (error != 0) {
		kpi_leave("mmap returned");
		return (error);
	}
	if ((foff & PAGE_MASK) != 0)
		error = EINVAL;
	else if (xengnt_harness_fail(HARNESS_FAIL_MAP))
		error = ENOMEM;
	else
		error = kpi_map_insert(object, foff, &addr, size,
		    (vm_prot_t)prot, maxprot, flags);
	if (error != 0)
		vm_object_deallocate(object);
	kpi_leave("mmap returned");
	if (error == 0)
		*addrp = (void *)(addr + pageoff);
	return (error);
}

int
harness_munmap(void *addr, size_t len)
{
	vm_offset_t start;
	vm_size_t size;

	if (len == 0)
		return (EINVAL);
	start = trunc_page(addr);
	size = round_page(len + ((vm_offset_t)addr & PAGE_MASK));
	if (start + size < start || start + size > VM_MAXUSER_ADDRESS)
		return (EINVAL);
	kpi_enter();
	kpi_map_remove(start, start + size, KPI_UNMAP_RANGE);
	kpi_leave("munmap returned");
	return (0);
}

void
harness_mapped_over(void *addr, size_t len)
{

	kpi_enter();
	kpi_map_remove(trunc_page(addr), round_page((vm_offset_t)addr + len),
	    KPI_UNMAP_NOTHING);
	kpi_leave("mmap returned");
}

int
harness_mprotect(void *addr, size_t len, int prot)
{
	vm_offset_t start;
	int error;

	if ((prot &
		~(HARNESS_PROT_READ | HARNESS_PROT_WRITE |
		    HARNESS_PROT_EXEC)) != 0)
		return (EINVAL);
	start = trunc_page(addr);
	kpi_enter();
	error = kpi_map_protect(start, round_page((vm_offset_t)addr + len),
	    (vm_prot_t)prot);
	kpi_leave("mprotect returned");
	return (error);
}

bool
harness_owns(const void *addr, size_t len)
{

	return (kpi_map_overlaps(trunc_page(addr),
	    round_page((vm_offset_t)addr + len)));
}
