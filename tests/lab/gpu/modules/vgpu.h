/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A sample driver of the kernel's (samples/vfio-mdev) with PCI "GPUs" as its mdev parents, one a function, as a real vGPU driver has them:
 * libvirt's node-device driver lists parents on PCI alone, and the samples' own parents are virtual class devices.
 *
 * vgpu_SAMPLE.c says SAMPLE, CARD (the PCI id it binds to) and BEGIN (what the sample's own init would have set up), includes this, and is a
 * module. The sample itself is compiled in, without its init and exit.
 */
#pragma once

#include <linux/module.h>
#include <linux/pci.h>
#include <linux/stringify.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define OF_SAMPLE(name) JOIN(SAMPLE, name)

#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma push_macro("module_init")
#pragma push_macro("module_exit")
#undef module_init
#undef module_exit
#define module_init(fn)
#define module_exit(fn)
#include __stringify(SAMPLE.c)
#pragma pop_macro("module_init")
#pragma pop_macro("module_exit")

struct vgpu {
	struct mdev_parent parent;
	struct OF_SAMPLE(_type) types[ARRAY_SIZE(OF_SAMPLE(_types))];
	struct mdev_type *ptrs[ARRAY_SIZE(OF_SAMPLE(_types))];
};

static int vgpu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct vgpu *g = kzalloc(sizeof(*g), GFP_KERNEL);
	int i, ret;

	if (!g)
		return -ENOMEM;
	memcpy(g->types, OF_SAMPLE(_types), sizeof(OF_SAMPLE(_types)));
	for (i = 0; i < ARRAY_SIZE(g->types); i++)
		g->ptrs[i] = &g->types[i].type;
	ret = mdev_register_parent(&g->parent, &pdev->dev, &OF_SAMPLE(_driver),
				   g->ptrs, ARRAY_SIZE(g->ptrs));
	if (ret) {
		kfree(g);
		return ret;
	}
	pci_set_drvdata(pdev, g);
	return 0;
}

static void vgpu_remove(struct pci_dev *pdev)
{
	struct vgpu *g = pci_get_drvdata(pdev);

	mdev_unregister_parent(&g->parent);
	kfree(g);
}

static const struct pci_device_id vgpu_ids[] = { { CARD }, { } };
MODULE_DEVICE_TABLE(pci, vgpu_ids);

static struct pci_driver vgpu_pci_driver = {
	.name = "vgpu_" __stringify(SAMPLE),
	.id_table = vgpu_ids,
	.probe = vgpu_probe,
	.remove = vgpu_remove,
};

static int __init vgpu_init(void)
{
	int ret;

	BEGIN;
	ret = mdev_register_driver(&OF_SAMPLE(_driver));
	if (ret)
		return ret;
	ret = pci_register_driver(&vgpu_pci_driver);
	if (ret)
		mdev_unregister_driver(&OF_SAMPLE(_driver));
	return ret;
}

static void __exit vgpu_exit(void)
{
	pci_unregister_driver(&vgpu_pci_driver);
	mdev_unregister_driver(&OF_SAMPLE(_driver));
}

module_init(vgpu_init);
module_exit(vgpu_exit);
MODULE_DESCRIPTION(__stringify(SAMPLE) " sample vGPU on a PCI parent");
