import unittest

from shapes import area


class AreaTest(unittest.TestCase):
    def test_area(self):
        self.assertEqual(area(2, 3), 6)

    def test_negative(self):
        with self.assertRaises(ValueError):
            area(-1, 3)
