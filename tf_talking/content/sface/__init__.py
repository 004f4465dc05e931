"""SFace's file, its sha256, licence (LICENSE) and source (NOTICE); `network` reads it."""

import pathlib

FILE = pathlib.Path(__file__).with_name("face_recognition_sface_2021dec_int8bq.onnx")
SHA256 = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
