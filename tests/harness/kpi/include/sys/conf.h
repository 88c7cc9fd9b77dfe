/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_CONF_H_
#define	_SYS_CONF_H_

#include <sys/types.h>
#include <sys/queue.h>

struct cdev;
struct cdevsw;
struct thread;
struct uio;
struct vm_object;
struct ucred;

#define	SPECNAMELEN	255

typedef int d_open_t(struct cdev *, int oflags, int devtype, struct thread *);
typedef int d_close_t(struct cdev *, int fflag, int devtype, struct thread *);
typedef int d_ioctl_t(struct cdev *, u_long cmd, caddr_t data, int fflag,
	    struct thread *);
typedef int d_read_t(struct cdev *, struct uio *, int ioflag);
typedef int d_write_t(struct cdev *, struct uio *, int ioflag);
typedef int d_poll_t(struct cdev *, int events, struct thread *);
typedef int d_mmap_single_t(struct cdev *, vm_ooffset_t *offset,
	    vm_size_t size, struct vm_object **object, int nprot);

#define	D_VERSION_03	0x17122009
#define	D_VERSION	D_VERSION_03

struct cdevsw {
	int		d_version;
	u_int		d_flags;
	const char	*d_name;
	d_open_t	*d_open;
	d_close_t	*d_close;
	d_read_t	*d_read;
	d_write_t	*d_write;
	d_ioctl_t	*d_ioctl;
	d_poll_t	*d_poll;
	d_mmap_single_t	*d_mmap_single;
};

struct cdev {
	char		si_name[SPECNAMELEN + 1];
	struct cdevsw	*si_devsw;
	void		*si_drv1;
	mode_t		si_mode;
	uid_t		si_uid;
	gid_t		si_gid;
	u_int		si_refs;	/* node, open files */
	u_int		si_threads;	/* inside the driver */
	bool		si_gone;
	LIST_ENTRY(cdev) si_link;
};

#define	UID_ROOT	0
#define	GID_WHEEL	0

#define	MAKEDEV_NOWAIT		0x02
#define	MAKEDEV_WAITOK		0x04
#define	MAKEDEV_ETERNAL		0x10
#define	MAKEDEV_CHECKNAME	0x20

struct make_dev_args {
	size_t		mda_size;
	int		mda_flags;
	struct cdevsw	*mda_devsw;
	struct ucred	*mda_cr;
	uid_t		mda_uid;
	gid_t		mda_gid;
	int		mda_mode;
	int		mda_unit;
	void		*mda_si_drv1;
	void		*mda_si_drv2;
};
void	make_dev_args_init_impl(struct make_dev_args *, size_t);
#define	make_dev_args_init(a)	make_dev_args_init_impl((a), sizeof(*(a)))
int make_dev_s(struct make_dev_args *, struct cdev **, const char *fmt, ...)
    __printflike(3, 4);
void	destroy_dev(struct cdev *);

typedef void d_priv_dtor_t(void *);
int	devfs_set_cdevpriv(void *priv, d_priv_dtor_t *dtor);
int	devfs_get_cdevpriv(void **priv);

#endif /* !_SYS_CONF_H_ */
