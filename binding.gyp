{
  # Delegates to CMake (addon/CMakeLists.txt), the one build description. The output named here never
  # exists, so the action always runs and CMake decides what is stale.
  "targets": [
    {
      "target_name": "native",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake_js",
          "inputs": ["package.json"],
          "outputs": ["<(PRODUCT_DIR)/cmake-js.always"],
          "action": ["node", "scripts/native-build.mjs", "--force"],
        }
      ],
    }
  ]
}
