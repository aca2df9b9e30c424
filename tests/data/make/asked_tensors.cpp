// Which tensors llama.cpp asks for: files are named on stdin; FILE.asked gets a line a tensor, `name required dimensions`, and stdout
// how the load ended. The function that looks for a tensor is replaced by one that notes the question and finds no fault.
//
// g++ -rdynamic -o asker asked_tensors.cpp -I LLAMA_CPP/include -I LLAMA_CPP/ggml/include -L BIN -Wl,-rpath,BIN -lllama -lggml
//     -lggml-base -Wl,--unresolved-symbols=ignore-all       (BIN: the shared libraries of b11434, built without hidden symbols)
#include "ggml-backend.h"
#include "llama.h"
#include <cstdio>
#include <iostream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

struct ggml_tensor;
static FILE * asked;

struct llama_model_loader {
    const ggml_tensor * check_tensor_dims(const std::string & name, const std::vector<int64_t> & ne, bool required, bool reshape) const;
    ggml_tensor * get_tensor_meta(const char * name) const;
};

#ifndef JUDGE  // with it the loads are what they are: judged_headers.py asks for their ends
const ggml_tensor * llama_model_loader::check_tensor_dims(
    const std::string & name, const std::vector<int64_t> & ne, bool required, bool) const {
    fprintf(asked, "%s %d", name.c_str(), required);
    for (auto n : ne) fprintf(asked, " %ld", n);
    fprintf(asked, "\n");
    fflush(asked);
    return get_tensor_meta(name.c_str());
}
#endif

int main() {
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    llama_backend_init();
    ggml_backend_load_all();
    std::string path;
    while (std::getline(std::cin, path)) {
        pid_t child = fork();  // a header may end it by an assertion
        if (child == 0) {
            asked = fopen((path + ".asked").c_str(), "w");
            llama_model_params params = llama_model_default_params();
            params.no_alloc = true;
            params.load_mode = LLAMA_LOAD_MODE_NONE;
            bool loaded = llama_model_load_from_file(path.c_str(), params) != nullptr;
            fflush(nullptr);
            _exit(!loaded);
        }
        int status;
        waitpid(child, &status, 0);
        printf("%d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
        fflush(stdout);
    }
}
