/* Depth of a photograph in C++, by a network that `rilievo export` wrote, with OpenVINO.

Usage: g++ -std=c++17 -O2 exported_network.cpp -o exported_network -I$OV/include \
    $OV/libs/libopenvino.so.* -Wl,-rpath,$OV/libs

OV is the folder of the Python package openvino (pip install openvino), which has the headers:
OV=$(python -c "import openvino; print(openvino.__path__[0])"). Then run ./exported_network
NETWORK.onnx PHOTO.ppm DEPTH.pfm: it reads a binary PPM file (8 bits, upright, no comments), writes
depth as float32, and prints its kind. It refuses networks with other rules for resizing than ours. */
#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <numeric>
#include <openvino/openvino.hpp>

struct Picture {  // Row after row; the channels of a pixel lie side by side.
    size_t height, width, channels;
    std::vector<float> values;
};

Picture read_ppm(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string magic;
    size_t header[3] = {};  // width, height, highest level
    file >> magic >> header[0] >> header[1] >> header[2];
    file.get();
    if (magic != "P6" || header[2] != 255)
        throw std::runtime_error(path + " is not a binary PPM file of 8 bits without comments");
    std::vector<uint8_t> levels(header[0] * header[1] * 3);
    file.read(reinterpret_cast<char*>(levels.data()), levels.size());
    if (!file) throw std::runtime_error(path + " is truncated");
    return {header[1], header[0], 3, {levels.begin(), levels.end()}};
}

// Resize rows to `length` pixels by a triangle filter, which is wider if the picture shrinks.
// Weights have 22 bits after the point, so whole levels are the same as Pillow's. Rows and columns
// are exchanged, so that the next call resizes the columns.
Picture resize_rows(const Picture& source, size_t length, bool whole_levels) {
    const auto [height, width, channels, values] = source;
    Picture target{length, height, channels, std::vector<float>(length * height * channels)};
    const double step = double(width) / length, radius = std::max(step, 1.0);
    for (size_t column = 0; column < length; ++column) {
        const double centre = (column + 0.5) * step;
        const size_t first = std::max(0.0, centre - radius + 0.5);
        std::vector<double> weights;
        const size_t end = std::min(double(width), centre + radius + 0.5);
        for (size_t x = first; x < end; ++x)
            weights.push_back(std::max(0.0, 1 - std::abs(x + 0.5 - centre) / radius));
        const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
        for (double& weight : weights) weight = std::round(weight / sum * (1 << 22)) / (1 << 22);
        for (size_t row = 0; row < height; ++row)
            for (size_t channel = 0; channel < channels; ++channel) {
                double value = 0;
                for (size_t x = first; x < end; ++x)
                    value += weights[x - first] * values[(row * width + x) * channels + channel];
                target.values[(column * height + row) * channels + channel] =
                    whole_levels ? std::floor(value + 0.5) : value;
            }
    }
    return target;
}

Picture resize(const Picture& picture, size_t height, size_t width, bool whole_levels) {
    return resize_rows(resize_rows(picture, width, whole_levels), height, whole_levels);
}

// Of the four pairs of multiples around the ideal height and width, the one with the least error.
std::pair<size_t, size_t> network_size(const Picture& photo, double area, size_t multiple) {
    const double aspect = double(photo.height) / photo.width;
    const size_t rows = std::max(1.0, std::sqrt(area * aspect) / multiple);
    const size_t columns = std::max(1.0, std::sqrt(area / aspect) / multiple);
    std::pair best{1e9, std::pair{rows, columns}};  // error and size
    for (size_t height : {rows * multiple, (rows + 1) * multiple})
        for (size_t width : {columns * multiple, (columns + 1) * multiple}) {
            const double aspect_error = std::abs(std::log(height / (width * aspect)));
            const double error = 4 * aspect_error + std::abs(std::log(height * width / area));
            best = std::min(best, {error, {height, width}});
        }
    return best.second;
}

int main(int count, char** arguments) try {
    if (count != 4) throw std::runtime_error("expected NETWORK.onnx PHOTO.ppm DEPTH.pfm");
    ov::Core core;
    const auto network = core.read_model(arguments[1]);
    const auto fact = [&](const std::string& name) {  // an entry of the file's metadata
        const std::vector<std::string> path{"framework", "rilievo." + name};
        return network->has_rt_info(path) ? network->get_rt_info<std::string>(path) : "";
    };
    if (fact("area") == "") throw std::runtime_error("rilievo export did not write the network");
    const std::vector<std::pair<std::string, std::string>> rules{
        {"sizing", "area"}, {"resampling", "triangle"}, {"back", "values"}, {"focal", "none"}};
    for (const auto& [name, value] : rules)  // which an older file does not state
        if (fact(name) != "" && fact(name) != value)
            throw std::runtime_error("rilievo." + name + " is not " + value + " but " + fact(name));
    const Picture photo = read_ppm(arguments[2]);
    const auto size = network_size(photo, std::stod(fact("area")), std::stoul(fact("multiple")));
    const Picture input = resize(photo, size.first, size.second, true);
    ov::Tensor image(ov::element::u8, {1, input.height, input.width, 3});
    std::copy(input.values.begin(), input.values.end(), image.data<uint8_t>());
    const auto precision = ov::hint::inference_precision(ov::element::f32);
    auto request = core.compile_model(network, "CPU", precision).create_infer_request();
    request.set_tensor("image", image);
    request.infer();
    const float* values = request.get_tensor("depth").data<float>();
    Picture depth{input.height, input.width, 1, {values, values + input.height * input.width}};
    depth = resize(depth, photo.height, photo.width, false);

    std::ofstream file(arguments[3], std::ios::binary);
    file << "Pf\n" << photo.width << " " << photo.height << "\n-1.0\n";
    const auto* bytes = reinterpret_cast<const char*>(depth.values.data());
    for (size_t row = photo.height; row-- > 0;)  // the bottom row first
        file.write(bytes + 4 * row * photo.width, 4 * photo.width);
    if (!file.flush()) throw std::runtime_error(std::string(arguments[3]) + " cannot be written");
    std::cout << fact("kind") << "\n";
} catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
}
