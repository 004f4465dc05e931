# Training on NVIDIA GPUs: docker build -t tf_talking . ; docker run --gpus all tf_talking ...
FROM python:3.11-slim-bookworm
RUN apt-get update && apt-get install --yes --no-install-recommends \
      libgl1 libegl1 libgles2 libglib2.0-0 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt "tensorflow[and-cuda]==2.15.1"
COPY . .
ENTRYPOINT ["python", "-m"]
CMD ["tf_talking.summary", "--preset=paper"]
