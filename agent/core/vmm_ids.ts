/** Users and groups of VMM processes on the host. */

/** Unprivileged uid of a VMM: this plus its slot's index, which is 1 or more. */
export const FIRST_VMM_UID = 300_000;

/**
 * Group that may read what machines share, their memory bases and the layers below their disks: that of every
 * Firecracker, and of every QEMU that is given a disk while it runs. It is no VMM's own.
 */
export const VMM_GROUP: number = FIRST_VMM_UID;
