"""Checks of the peer programs against closed forms: python -m unittest test_peers (in this folder)."""

import unittest

import numpy
import torch

import dataset
import feature_net
import keras_sgd
import patches
import score


def random_net(name: str, channels: int) -> feature_net.FeatureNet:
    """A float64 net with non-trivial batch normalisation."""
    torch.manual_seed(3)
    net = feature_net.FeatureNet(feature_net.SPECS[name], channels).double()
    for norm in net.norms:
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.bias, std=0.1)
        torch.nn.init.normal_(norm.running_mean, std=0.1)
        torch.nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return net.eval()


class NetForms(unittest.TestCase):
    def test_dense_forms_equal_patches(self):
        for name in feature_net.SPECS:
            net = random_net(name, 2)
            field = net.spec.field
            image = torch.randn(1, 2, field + 15, field + 23, dtype=torch.float64)
            with torch.inference_mode():
                dense = net.dense(image)[0]
                for r, c in ((0, 0), (7, 9), (15, 23)):
                    patch = net(image[:, :, r : r + field, c : c + field])[0, :, 0, 0]
                    self.assertLess(float((dense[:, r, c] - patch).abs().max()), 1e-10)
                probability = torch.softmax(dense, 0)
                for form in ("dilated", "fragments"):
                    folded = feature_net.FoldedNet(net, form).double()(image)[0]
                    self.assertLess(float((folded - probability).abs().max()), 1e-6)

    def test_tiling_changes_nothing(self):
        net = random_net("bn_feature_net_31x31", 1)
        image = torch.randn(1, 70, 81, dtype=torch.float64)
        with torch.inference_mode():
            whole = net.dense(image[None])[0]
            tiled = feature_net.predict_tiled(net.dense, image, 31, (16, 20), 4)
        self.assertLess(float((whole - tiled).abs().max()), 1e-5)

    def test_parameter_counts_are_the_published_ones(self):
        for name, channels, count in (("31x31", 1, 403979), ("61x61", 1, 462891), ("61x61", 2, 463467)):
            net = feature_net.FeatureNet(feature_net.SPECS[f"bn_feature_net_{name}"], channels)
            stored = sum(v.numel() for k, v in net.state_dict().items() if "num_batches" not in k)
            self.assertEqual(stored, count)


class Training(unittest.TestCase):
    def test_running_variance_is_biased(self):
        norm = feature_net.KerasBatchNorm2d(1)
        norm(torch.tensor([1.0, 5.0]).reshape(2, 1, 1, 1))
        self.assertAlmostEqual(float(norm.running_mean), 0.3, 6)
        self.assertAlmostEqual(float(norm.running_var) ** 0.5, 0.9 + 0.1 * 2.0, 6)

    def test_sgd_follows_keras(self):
        parameter = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
        optimizer = keras_sgd.KerasSGD([parameter], [parameter], rate=0.1, decay=0.5, l2=0.25)
        p, v = 1.0, 0.0
        for update, rate in enumerate((0.1, 0.05)):
            optimizer.rate = rate
            (parameter * 3).sum().backward()
            gradient = 3 + 2 * 0.25 * p
            eta = rate / (1 + 0.5 * update)
            v = 0.9 * v - eta * gradient
            p = p + 0.9 * v - eta * gradient
            optimizer.step()
            self.assertAlmostEqual(float(parameter.detach()), p, 12)

    def test_symmetries_are_all_of_d4(self):
        image = numpy.arange(9, dtype=numpy.float32).reshape(1, 3, 3)
        pixels = numpy.array([[0, 1, 1, 0]] * 8)
        turned = patches.PatchReader([image], 3).batch(pixels, numpy.arange(8)).numpy()
        self.assertEqual(len({patch.tobytes() for patch in turned}), 8)
        self.assertTrue((turned[0, 0] == image[0]).all())
        self.assertTrue((turned[:, 0, 1, 1] == 4).all())

    def test_sampled_pixels_are_balanced_candidates(self):
        classes = numpy.full((20, 30), dataset.BACKGROUND, numpy.uint8)
        classes[5:15, 5] = dataset.EDGE
        classes[5:15, 6:20] = dataset.INTERIOR
        pixels, limit = dataset.sample_pixels([classes], 4, numpy.random.default_rng(0))
        self.assertEqual(limit, 10)
        self.assertEqual(numpy.bincount(pixels[:, 3]).tolist(), [10, 10, 10])
        self.assertTrue((pixels[:, 1] > 4).all() and (pixels[:, 1] < 16).all())
        self.assertTrue((classes[pixels[:, 1], pixels[:, 2]] == pixels[:, 3]).all())


class Scores(unittest.TestCase):
    def test_match_counts(self):
        reference = numpy.zeros((4, 12), int)
        reference[:, 0:4], reference[:, 6:10] = 1, 2
        predicted = numpy.zeros((4, 12), int)
        predicted[:, 0:2], predicted[:, 2:4], predicted[:, 11] = 1, 2, 3
        counts = score.match(reference, predicted)
        self.assertEqual((counts["tp"], counts["fp"], counts["fn"]), (1, 2, 1))
        self.assertAlmostEqual(counts["ap"], 0.25)
        self.assertEqual(score.match(reference * 0, predicted * 0)["ap"], 0)

    def test_segment_fills_and_drops(self):
        interior = numpy.zeros((12, 12))
        interior[1:6, 1:6] = 1
        interior[3, 3] = 0
        interior[9, 9] = 1
        cells = score.segment(interior, 0.5, minimum_area=2)
        self.assertEqual(int((cells == 1).sum()), 25)
        self.assertEqual(int(cells.max()), 1)


if __name__ == "__main__":
    unittest.main()
