/* SPDX-License-Identifier: BSD-2-Clause */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/conf.h>
#include <sys/proc.h>
#include <sys/sysent.h>

#include "stand_in.h"

static struct cdevsw stand_in_cdevsw = {
	.d_version =	D_VERSION,
	.d_name =	"stand-in",
};
static struct cdev *nodes[2];

void
stand_in_node(int i, const char *name)
{
	struct make_dev_args args;
	int error;

	make_dev_args_init(&args);
	args.mda_flags = MAKEDEV_WAITOK | MAKEDEV_CHECKNAME;
	args.mda_devsw = &stand_in_cdevsw;
	error = make_dev_s(&args, &nodes[i], "%s", name);
	KASSERT(error == 0, ("stand-in: %s: error %d", name, error));
}

void
stand_in_node_gone(int i)
{

	destroy_dev(nodes[i]);
}

void
stand_in_ilp32(bool on)
{

	if (on)
		curproc->p_sysent->sv_flags |= SV_ILP32;
	else
		curproc->p_sysent->sv_flags &= ~SV_ILP32;
}
