/** Where AWS says, for everybody to read, which Amazon Linux 2023 for Graviton is the newest in a region. */
export const IMAGE_PARAMETER = '/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-arm64';
